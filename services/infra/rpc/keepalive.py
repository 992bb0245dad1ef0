"""Keepalive pings of channels and servers, which must agree: a server hangs up on a client that pings too often.

A connection that was lost without a word, as behind a firewall that forgot it, looks like one that is quiet. HTTP/2
pings tell them apart within PING_SECONDS and PONG_SECONDS. gRPC also takes PONG_SECONDS as TCP_USER_TIMEOUT, so that
the kernel gives up bytes that no one acknowledges by then.
"""

PING_SECONDS = 5
# Well above what a busy or briefly paused process takes to answer.
PONG_SECONDS = 5
# More often than our own channels, for clients of other makes: those that ping each second are hung up on.
LEAST_SECONDS_BETWEEN_PINGS = 4

_PINGS = (
    ("grpc.keepalive_time_ms", 1_000 * PING_SECONDS),
    ("grpc.keepalive_timeout_ms", 1_000 * PONG_SECONDS),
    # While a ping of another purpose waits for its answer gRPC sends none to keep alive: that one has 60 s by default.
    ("grpc.http2.ping_timeout_ms", 1_000 * PONG_SECONDS),
    ("grpc.keepalive_permit_without_calls", 1),
    # By default the pings of a connection without data end after the second.
    ("grpc.http2.max_pings_without_data", 0),
)
CHANNEL_OPTIONS = _PINGS
SERVER_OPTIONS = (
    *_PINGS,
    # What gRPC calls GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS; 5 minutes by default.
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000 * LEAST_SECONDS_BETWEEN_PINGS),
)

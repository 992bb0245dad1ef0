"""Keepalive options of channels and servers. They must agree: a server disconnects clients that ping too often.

A connection that was lost silently, for example behind a firewall that dropped its state, looks like an idle one.
HTTP/2 pings tell them apart within PING_SECONDS + PONG_SECONDS. gRPC also uses PONG_SECONDS as TCP_USER_TIMEOUT, after
which the kernel gives up bytes that were not acknowledged.
"""

PING_SECONDS = 5
# Well above the response time of a busy or briefly paused process.
PONG_SECONDS = 5
# Shorter than the interval of our own channels, for other clients; one that pings each second is disconnected.
LEAST_SECONDS_BETWEEN_PINGS = 4

_PINGS = (
    ("grpc.keepalive_time_ms", 1_000 * PING_SECONDS),
    ("grpc.keepalive_timeout_ms", 1_000 * PONG_SECONDS),
    # gRPC sends no keepalive ping while a ping of another purpose is unanswered; that one has 60 s by default.
    ("grpc.http2.ping_timeout_ms", 1_000 * PONG_SECONDS),
    ("grpc.keepalive_permit_without_calls", 1),
    # By default gRPC stops pinging a connection without data after two pings.
    ("grpc.http2.max_pings_without_data", 0),
)
CHANNEL_OPTIONS = _PINGS
SERVER_OPTIONS = (
    *_PINGS,
    # GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5 minutes by default.
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000 * LEAST_SECONDS_BETWEEN_PINGS),
)

"""Panels of the connection pools, one for each context and database: wait time, use time, size."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, mean, per_second, total
from grafana.build.lib.quantiles import p95
from observability.prometheus.build import thresholds

WAIT = "db_client_connection_wait_time_seconds"
USE = "db_client_connection_use_time_seconds"
COUNT = "db_client_connection_count"
MOST = chosen("db_client_connection_max")
USED = chosen(COUNT, 'state="used"')
BY = ("context", "db_client_connection_pool_name")
LEGEND = "{{context}} {{db_client_connection_pool_name}}"

POOL_RATE = (
    Panel(
        23,
        "Connections acquired",
        "ops",
        Words(
            "Connections acquired from each pool, a second.",
            "in proportion to requests; background work adds a constant.",
            "a rise without more requests: a statement runs in a loop.",
            "use of a connection below: rate times use is the number of connections needed.",
        ),
        (Query(per_second(chosen(f"{WAIT}_count"), *BY), LEGEND),),
        width=6,
    ),
)
POOL_ERRORS = (
    Panel(
        33,
        "Connection timeouts",
        "ops",
        Words(
            "Callers a second that got no connection in time.",
            "0.",
            f"any: these requests failed. ShopPoolExhausted fires above {thresholds.POOL_EXHAUSTED.text} a second.",
            "share of connections in use, then use of a connection: what holds them is the cause.",
        ),
        (Query(per_second(chosen("db_client_connection_timeouts_total"), *BY), LEGEND),),
        limits=(Limit(thresholds.POOL_EXHAUSTED.limit),),
        width=6,
    ),
)
POOL_DURATION = (
    Panel(
        47,
        "Use of a connection, p95",
        "s",
        Words(
            "How long a caller holds a connection, from acquiring to releasing it.",
            "as long as its statements.",
            "longer than its statements: work is done between them while the connection is held.",
            "statements beside it; a trace shows what happens between them.",
        ),
        (p95(USE, *BY),),
    ),
    Panel(
        48,
        "Wait for a connection, p95",
        "s",
        Words(
            "How long callers wait for a connection before their statement can start.",
            "below a millisecond.",
            "above 50 ms: the pool is too small, or its connections are held too long.",
            "mean wait below, which ShopPoolWaiting watches.",
        ),
        (p95(WAIT, *BY),),
    ),
)
POOL_SATURATION = (
    Panel(
        51,
        "Wait for a connection, mean",
        "s",
        Words(
            "Mean wait for a connection, by pool.",
            "below a millisecond.",
            "the pool is too small or its connections are held too long. ShopPoolWaiting fires above"
            f" {thresholds.POOL_WAITING.text} s.",
            "use of a connection: if it grew, the holder is the cause and not the pool.",
        ),
        (Query(mean(chosen(f"{WAIT}_sum"), chosen(f"{WAIT}_count"), *BY), LEGEND),),
        limits=(Limit(thresholds.POOL_WAITING.limit),),
        width=8,
    ),
    Panel(
        52,
        "Callers waiting for a connection",
        "none",
        Words(
            "Callers that wait for a connection now.",
            "0 nearly always.",
            "above 0 for seconds while all connections are in use.",
            "share of connections in use: callers waiting below 1 means that connections are still being opened.",
        ),
        (Query(total(chosen("db_client_connection_pending_requests"), *BY), LEGEND),),
        width=8,
    ),
    Panel(
        53,
        "Share of connections in use",
        "percentunit",
        Words(
            "Connections in use as a share of the most that the pool may open.",
            "well below 1 on average.",
            "at 1 every further caller waits.",
            "use of a connection, then the statements that hold them.",
        ),
        (Query(f"{total(USED, *BY)} / {total(MOST, *BY)}", LEGEND),),
        width=8,
    ),
)
POOL_RESOURCES = (
    Panel(
        61,
        "Connections by state",
        "none",
        Words(
            "Open connections by state, and the most that may be open.",
            "all limits together stay below max_connections of the server.",
            "used at its limit, or a sum above max_connections: the server rejects connections.",
            "sessions of the server beside it: they must agree.",
        ),
        (
            Query(total(chosen(COUNT), "context", "state"), "{{context}} {{state}}"),
            Query(total(MOST, "context"), "{{context}} at most"),
        ),
    ),
)

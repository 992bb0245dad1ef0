"""Do callers wait for a connection? Waits, holds and the size of each pool, one a context and database."""

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
        "Connections taken",
        "ops",
        Words(
            "How often is a connection asked for?",
            "in proportion to requests; background work adds a constant.",
            "use of a connection below: rate times use is the number of connections that are needed.",
        ),
        (Query(per_second(chosen(f"{WAIT}_count"), *BY), LEGEND),),
        width=6,
    ),
)
POOL_ERRORS = (
    Panel(
        33,
        "Waits given up",
        "ops",
        Words(
            "How many callers get no connection in time?",
            f"0. ShopPoolExhausted fires above {thresholds.POOL_EXHAUSTED.text} a second.",
            "share of connections in use, then the use of a connection: whatever holds them is the cause.",
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
            "How long is a connection held, from the pool and back?",
            "as long as its statements: longer means work between statements while holding it.",
            "statements beside it; a trace shows what happens between them.",
        ),
        (p95(USE, *BY),),
    ),
    Panel(
        48,
        "Wait for a connection, p95",
        "s",
        Words(
            "How long do callers wait before their statement can start?",
            "below a millisecond.",
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
            "Is a pool too small for what is asked of it?",
            f"below a millisecond. ShopPoolWaiting fires above {thresholds.POOL_WAITING.text} s.",
            "use of a connection: if it grew, the pool is not the cause but what holds it.",
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
            "How many callers wait now?",
            "0 nearly always.",
            "share of connections in use: waiting below 1 means that connections are being opened.",
        ),
        (Query(total(chosen("db_client_connection_pending_requests"), *BY), LEGEND),),
        width=8,
    ),
    Panel(
        53,
        "Share of connections in use",
        "percentunit",
        Words(
            "How full is each pool?",
            "well below 1 on average; at 1 every further caller waits.",
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
            "How many connections are open, and how many may be?",
            "the sum of all that may be stays below max_connections of the server.",
            "sessions of the server beside it: they must agree.",
        ),
        (
            Query(total(chosen(COUNT), "context", "state"), "{{context}} {{state}}"),
            Query(total(MOST, "context"), "{{context}} at most"),
        ),
    ),
)

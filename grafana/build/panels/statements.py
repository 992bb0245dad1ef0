"""Panels of the SQL statements as the services measure them: rate, errors and duration by the statement's name."""

from grafana.build.lib.panel import Panel, Query, Words
from grafana.build.lib.promql import chosen, per_second, share
from grafana.build.lib.quantiles import percentiles

DURATION = "db_client_operation_duration_seconds"
BY = ("context", "db_query_summary")
LEGEND = "{{context}} {{db_query_summary}}"
P95 = f"histogram_quantile(0.95, {per_second(chosen(f'{DURATION}_bucket'), 'le', *BY)})"

STATEMENT_RATE = (
    Panel(
        22,
        "Statements, the ten most frequent",
        "ops",
        Words(
            "The ten most frequent statements, a second.",
            "in proportion to requests; background work adds a constant.",
            "a statement that grows faster than its use case: it runs in a loop.",
            "Service, use cases.",
        ),
        (Query(f"topk(10, {per_second(chosen(f'{DURATION}_count'), *BY)})", LEGEND),),
        width=6,
        opens="shop-service",
    ),
)
STATEMENT_ERRORS = (
    Panel(
        32,
        "Share of statements that failed",
        "percentunit",
        Words(
            "Share of the statements of each context that ended in an error.",
            "0. UniqueViolationError is a repeated request and does no harm.",
            "any other error: the requests behind it fail.",
            "the logs below, which have the error.",
        ),
        (
            Query(
                share(chosen(f"{DURATION}_count", 'error_type!=""'), chosen(f"{DURATION}_count"), "context"),
                "{{context}}",
            ),
        ),
        width=6,
    ),
)
STATEMENT_DURATION = (
    Panel(
        44,
        "Statements",
        "s",
        Words(
            "How long statements take, without the wait for a connection.",
            "p50 below 2 ms, p99 below 50 ms.",
            "all three rising: the server is slow. Only p99: single statements are.",
            "the slowest statements beside it.",
        ),
        percentiles(DURATION),
    ),
    Panel(
        45,
        "Statements, the ten slowest by p95",
        "s",
        Words(
            "The ten slowest statements by their 95th percentile.",
            "single rows in a few milliseconds; COMMIT as long as the disk takes.",
            "a statement above its usual height.",
            "sessions by what they wait for: a lock, the disk, or a plan that reads too much.",
        ),
        (Query(f"topk(10, {P95})", LEGEND, exemplars=True),),
    ),
    Panel(
        46,
        "Time in statements, top ten",
        "short",
        Words(
            "The ten statements that use most of the database's time: seconds a second, the mean number of busy"
            " sessions.",
            "no statement far above the others; all together below the cores of the server.",
            "one statement far above the others: it is the first to make cheaper or rarer.",
            "most expensive statements as PostgreSQL counts them, without the network.",
        ),
        (Query(f"topk(10, {per_second(chosen(f'{DURATION}_sum'), *BY)})", LEGEND),),
        stacked=True,
    ),
)

"""What do statements cost, as the services see it? Rate, errors and duration by what the code calls them."""

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
            "Which statements are sent most?",
            "in proportion to requests; background work adds a constant.",
            "Service, use cases: a statement that grows faster than its use case is repeated in a loop.",
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
            "Which context's statements end in an error?",
            "0. UniqueViolationError is a repeat of a request and no harm.",
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
            "How long do statements take, without the wait for a connection?",
            "p50 below 2 ms, p99 below 50 ms.",
            "the slowest statements beside it.",
        ),
        percentiles(DURATION),
    ),
    Panel(
        45,
        "Statements, the ten slowest by p95",
        "s",
        Words(
            "Which statement is slow?",
            "single rows in a few milliseconds; COMMIT as long as the disk takes.",
            "sessions by what they wait for: a lock, the disk, or a plan that reads too much.",
        ),
        (Query(f"topk(10, {P95})", LEGEND, exemplars=True),),
    ),
    Panel(
        46,
        "Time in statements, the ten dearest",
        "short",
        Words(
            "Which statement has most of the database's time? Seconds a second: sessions busy with it on average.",
            "no statement far above the others; all of them together below the cores of the server.",
            "dearest statements as PostgreSQL counts them, which leaves out the way there.",
        ),
        (Query(f"topk(10, {per_second(chosen(f'{DURATION}_sum'), *BY)})", LEGEND),),
        stacked=True,
    ),
)

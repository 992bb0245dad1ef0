"""What do calls to other services cost? RPCs made: their rate, errors, duration, and what the wire adds."""

from grafana.build.lib.panel import Panel, Query, Words
from grafana.build.lib.promql import chosen, mean, per_second, series, share
from grafana.build.lib.quantiles import p95, percentiles

CLIENT = "rpc_client_call_duration_seconds"
SERVER = "rpc_server_call_duration_seconds"

CALL_RATE = (
    Panel(
        21,
        "RPCs made",
        "reqps",
        Words(
            "Which other services are called, how often?",
            "two calls to an order: reserve and confirm. Attempts of one call count once.",
            "Service of the called process: it must show the same rate.",
        ),
        (Query(per_second(chosen(f"{CLIENT}_count"), "context", "rpc_method"), "{{context}} {{rpc_method}}"),),
        width=6,
        stacked=True,
        opens="shop-service",
    ),
)
CALL_ERRORS = (
    Panel(
        31,
        "Share of RPCs made that failed",
        "percentunit",
        Words(
            "Which calls fail, as the caller sees it?",
            "FAILED_PRECONDITION only, which is a customer's order for too much.",
            "Service of the called process; if it shows no errors, the calls never arrived.",
        ),
        (
            Query(
                share(
                    chosen(f"{CLIENT}_count", 'rpc_response_status_code!="OK"'),
                    chosen(f"{CLIENT}_count"),
                    "context",
                    "rpc_method",
                ),
                "{{context}} {{rpc_method}}",
            ),
        ),
        width=6,
        opens="shop-service",
    ),
)
CALL_DURATION = (
    Panel(
        41,
        "RPCs made",
        "s",
        Words(
            "How long do callers wait for other services, all attempts together?",
            "p99 within a few times of p50.",
            "time on the wire beside it: whether the wait is in the called process or before it.",
        ),
        percentiles(CLIENT),
    ),
    Panel(
        42,
        "RPCs made, p95",
        "s",
        Words(
            "Which call is slow?",
            "each at its usual height.",
            "Service of the called process, RPCs answered.",
        ),
        (p95(CLIENT, "context", "rpc_method"),),
        opens="shop-service",
    ),
    Panel(
        43,
        "Time on the wire, mean",
        "s",
        Words(
            "How much longer does the caller wait than the server works?",
            "a millisecond or two. More is a queue before the handler, a retry, or a busy event loop at either end.",
            "Runtime, event-loop lag of both processes.",
        ),
        (
            Query(
                f"{mean(series(f'{CLIENT}_sum'), series(f'{CLIENT}_count'), 'rpc_method')}"
                f" - {mean(series(f'{SERVER}_sum'), series(f'{SERVER}_count'), 'rpc_method')}",
                "{{rpc_method}}",
            ),
        ),
        opens="shop-runtime",
    ),
)

"""Panels of the RPCs to other services: rate, errors, duration, and time on the wire."""

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
            "RPCs to other services, a second, by method. A call counts once, however often it is retried.",
            "two calls for each order: reserve and confirm.",
            "fewer calls than orders need, or a method that grows without more orders.",
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
            "Share of RPCs that ended in an error, as the caller sees it.",
            "FAILED_PRECONDITION only: a customer ordered more than is in stock.",
            "any other rise: the called service fails or cannot be reached.",
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
            "How long callers wait for other services, all attempts of a call together.",
            "p99 within a few times of p50.",
            "p99 far from p50, or all three rising.",
            "time on the wire beside it: it tells waiting in the called process from waiting before it.",
        ),
        percentiles(CLIENT),
    ),
    Panel(
        42,
        "RPCs made, p95",
        "s",
        Words(
            "95th percentile of RPC duration, by method.",
            "each method at its usual height.",
            "one method above its usual height.",
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
            "Mean time that callers wait beyond the time that servers work. Both ends are scraped at different"
            " moments; a difference below 0 is that noise and is drawn as 0.",
            "a millisecond or two.",
            "more: a queue before the handler, a retry, or a busy event loop at either end.",
            "Runtime, event-loop lag of both processes.",
        ),
        (
            Query(
                f"clamp_min({mean(series(f'{CLIENT}_sum'), series(f'{CLIENT}_count'), 'rpc_method')}"
                f" - {mean(series(f'{SERVER}_sum'), series(f'{SERVER}_count'), 'rpc_method')}, 0)",
                "{{rpc_method}}",
            ),
        ),
        opens="shop-runtime",
    ),
)

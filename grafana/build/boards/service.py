"""Dashboard of one process: rate, errors and duration of its use cases, RPCs and HTTP requests, by `$job`."""

from grafana.build.lib.panel import Board, Heading, Panel, PanelRow, Query, Words
from grafana.build.lib.promql import chosen, per_second, share, total
from grafana.build.lib.quantiles import p95, percentiles
from grafana.build.panels.signals import signals, traces

USE_CASE = "shop_use_case_duration_seconds"
RPC = "rpc_server_call_duration_seconds"
HTTP = "http_server_request_duration_seconds"
# Our faults, as observability/telemetry/rpc.py and use_case.py mark them on spans.
RPC_FAULTS = 'rpc_response_status_code=~"UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"'
FAULTS = 'outcome=~"INTERNAL|CANCELLED"'

RATE = (
    Panel(
        21,
        "Use cases",
        "ops",
        Words(
            "Use cases that the process carries out, a second.",
            "in proportion: one reserve_stock and one confirm_reservation for each place_order.",
            "another proportion: requests are repeated, or stop half way.",
            "outcomes below.",
        ),
        (Query(per_second(chosen(f"{USE_CASE}_count"), "context", "use_case"), "{{context}} {{use_case}}"),),
        stacked=True,
    ),
    Panel(
        22,
        "RPCs answered",
        "reqps",
        Words(
            "RPCs that the process answers, a second, by method.",
            "as many as its callers make.",
            "more: a caller retries.",
            "Dependencies, RPCs made: the other end of the same calls.",
        ),
        (Query(per_second(chosen(f"{RPC}_count"), "rpc_method"), "{{rpc_method}}"),),
        stacked=True,
        opens="shop-dependencies",
    ),
    Panel(
        23,
        "HTTP requests answered",
        "reqps",
        Words(
            "HTTP requests that the process answers, a second, by route.",
            "the demand of customers; only a process that serves the edge has any.",
            "a fall to 0 while customers are there.",
            "Overview, which has the edge's errors and objectives.",
        ),
        (
            Query(
                per_second(chosen(f"{HTTP}_count"), "http_request_method", "http_route"),
                "{{http_request_method}} {{http_route}}",
            ),
        ),
        stacked=True,
        opens="shop-overview",
    ),
)
ERRORS = (
    Panel(
        31,
        "Outcomes",
        "ops",
        Words(
            "Use cases a second, by outcome.",
            "ok for nearly all; OUT_OF_STOCK and its like are the customers' mistakes.",
            "INTERNAL is a bug; CANCELLED is a caller that left or ran out of time.",
            "the log line with the error_id, for INTERNAL.",
        ),
        (Query(per_second(chosen(f"{USE_CASE}_count"), "context", "outcome"), "{{context}} {{outcome}}"),),
        stacked=True,
        width=12,
    ),
    Panel(
        32,
        "Share of faults by use case",
        "percentunit",
        Words(
            "Share of each use case that failed through a bug or was cancelled.",
            "0.",
            "any: requests fail through a fault of ours.",
            "Dependencies, if several fail at once; the logs below, if one does.",
        ),
        (
            Query(
                share(chosen(f"{USE_CASE}_count", FAULTS), chosen(f"{USE_CASE}_count"), "context", "use_case"),
                "{{context}} {{use_case}}",
            ),
        ),
        width=12,
        opens="shop-dependencies",
    ),
    Panel(
        33,
        "Share of RPCs that fail",
        "percentunit",
        Words(
            "Share of RPCs that ended in a status which is the server's fault, by method.",
            "0; UNAVAILABLE for seconds while the process drains.",
            "any lasting share.",
            "the traces below, then the outcome of the use case behind the RPC.",
        ),
        (
            Query(
                share(chosen(f"{RPC}_count", RPC_FAULTS), chosen(f"{RPC}_count"), "rpc_method"),
                "{{rpc_method}}",
            ),
        ),
        width=12,
    ),
    Panel(
        34,
        "Share of HTTP requests answered 5xx",
        "percentunit",
        Words(
            "Share of HTTP requests answered with 5xx, by route.",
            "0.",
            "any: customers see errors.",
            "Overview for what customers see of it; the logs below for the reason.",
        ),
        (
            Query(
                share(
                    chosen(f"{HTTP}_count", 'http_response_status_code=~"5.."'),
                    chosen(f"{HTTP}_count"),
                    "http_request_method",
                    "http_route",
                ),
                "{{http_request_method}} {{http_route}}",
            ),
        ),
        width=12,
        opens="shop-overview",
    ),
    Panel(
        35,
        "HTTP requests and connections rejected",
        "ops",
        Words(
            "Requests and connections a second that a listener rejected at a limit, before the application saw them.",
            "nothing.",
            "TOO_MANY_CONNECTIONS and the SLOW reasons: clients hold connections and send nothing.",
            "HTTP connections, below: it shows which listener is full.",
        ),
        (Query(per_second(chosen("shop_http_refusals_total"), "listener", "reason"), "{{listener}} {{reason}}"),),
        width=24,
    ),
)
DURATION = (
    Panel(
        41,
        "All use cases",
        "s",
        Words(
            "How long use cases take, all together.",
            "p99 within a few times of p50.",
            "p99 far from p50, or all three rising.",
            "an exemplar's trace, or the use case beside it that grew.",
        ),
        percentiles(USE_CASE),
        width=12,
    ),
    Panel(
        42,
        "Use cases, p95",
        "s",
        Words(
            "95th percentile of the duration of each use case.",
            "each at its usual height.",
            "one higher: that use case. All higher: the process.",
            "Dependencies if one grew; Runtime if all did.",
        ),
        (p95(USE_CASE, "context", "use_case"),),
        width=12,
        opens="shop-dependencies",
    ),
    Panel(
        43,
        "RPCs answered, p95",
        "s",
        Words(
            "95th percentile of the time that an RPC takes inside the process.",
            "about as long as its use case.",
            "longer than its use case: the event loop is busy.",
            "Dependencies, time on the wire: what the caller waits beyond this.",
        ),
        (p95(RPC, "rpc_method"),),
        width=12,
        opens="shop-dependencies",
    ),
    Panel(
        44,
        "HTTP requests answered, p95",
        "s",
        Words(
            "95th percentile of the time that a route takes.",
            "a millisecond or two more than its use case.",
            "a growing difference to the use case.",
            "Runtime, event-loop lag, if the difference grows.",
        ),
        (p95(HTTP, "http_request_method", "http_route"),),
        width=12,
        opens="shop-runtime",
    ),
)
SATURATION = (
    Panel(
        51,
        "RPCs being answered",
        "none",
        Words(
            "RPCs inside the process now.",
            "a handful: rate times duration.",
            "a rise without more calls: RPCs queue.",
            "Dependencies, callers waiting for a connection.",
        ),
        (Query(total(chosen("shop_rpc_server_active_calls"), "context", "instance"), "{{context}} {{instance}}"),),
        width=12,
        opens="shop-dependencies",
    ),
    Panel(
        52,
        "HTTP requests being answered",
        "none",
        Words(
            "HTTP requests inside the process now.",
            "a handful: rate times duration.",
            "a rise without more requests: they queue.",
            "Dependencies, callers waiting for a connection; then Runtime.",
        ),
        (Query(total(chosen("http_server_active_requests"), "context", "instance"), "{{context}} {{instance}}"),),
        width=12,
        opens="shop-dependencies",
    ),
    Panel(
        53,
        "HTTP connections",
        "none",
        Words(
            "Open connections of each listener.",
            "a few for each client; an idle one is closed after five seconds.",
            "a flat line at the limit: further connections are rejected.",
            "HTTP requests and connections rejected, above.",
        ),
        (Query(total(chosen("shop_http_connections"), "listener", "instance"), "{{listener}} {{instance}}"),),
        width=24,
    ),
)
NEWEST = traces(
    72, "Newest traces of one process", "$job", then="choose one process above, then open its longest trace."
)
BOARD = Board(
    "shop-service",
    "Service",
    "Rate, errors and duration of one process. Choose it above.",
    (
        PanelRow(Heading.RATE, RATE),
        PanelRow(Heading.ERRORS, ERRORS),
        PanelRow(Heading.DURATION, DURATION),
        PanelRow(Heading.SATURATION, SATURATION),
        signals(NEWEST, only_problems=False),
    ),
)

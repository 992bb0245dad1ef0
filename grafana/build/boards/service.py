"""Dashboard of one process: rate, errors and duration of its use cases, RPCs and HTTP requests, by `$job`."""

from grafana.build.lib.panel import Board, Heading, Panel, PanelRow, Query, Words
from grafana.build.lib.promql import chosen, per_second, share, total
from grafana.build.lib.quantiles import p95, percentiles
from grafana.build.panels.signals import signals, traces

USE_CASE = "shop_use_case_duration_seconds"
RPC = "rpc_server_call_duration_seconds"
HTTP = "http_server_request_duration_seconds"
# What is a fault of ours, as observability/telemetry/rpc.py and use_case.py mark it on spans.
RPC_FAULTS = 'rpc_response_status_code=~"UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"'
FAULTS = 'outcome=~"INTERNAL|CANCELLED"'

RATE = (
    Panel(
        21,
        "Use cases",
        "ops",
        Words(
            "What does the process do, and how often?",
            "in proportion: one reserve_stock and one confirm_reservation to each place_order.",
            "outcomes below, when the proportion is off.",
        ),
        (Query(per_second(chosen(f"{USE_CASE}_count"), "context", "use_case"), "{{context}} {{use_case}}"),),
        stacked=True,
    ),
    Panel(
        22,
        "RPCs answered",
        "reqps",
        Words(
            "Which RPCs does the process answer?",
            "as many as its callers make: more is a caller that tries again.",
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
            "Which routes does the process answer?",
            "the demand of customers; only the process that mounts the edge has any.",
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
            "How do use cases end?",
            "ok for nearly all; OUT_OF_STOCK and its like are the customers' business, INTERNAL is a bug.",
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
            "Which use case fails through a bug, or is cut off?",
            "0.",
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
            "Which RPCs end in a status that is the server's fault?",
            "0; UNAVAILABLE for seconds while the process drains.",
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
            "Which routes of this process fail?",
            "0.",
            "Overview for what customers see of it; the logs below for why.",
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
        "HTTP requests and connections refused",
        "ops",
        Words(
            "What does a listener end for a limit, before the application sees it?",
            "nothing; TOO_MANY_CONNECTIONS and the SLOW ones are clients that hold connections and ask nothing.",
            "HTTP connections, below: which listener is full.",
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
            "How long do use cases take?",
            "p99 within a few times of p50.",
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
            "Which use case is slow?",
            "each at its usual height; all of them higher means the process, not the use case.",
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
            "How long does an RPC take inside the process?",
            "about as long as its use case.",
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
            "How long does a route take?",
            "a millisecond or two more than its use case.",
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
            "How many RPCs are inside the process at once?",
            "a handful: rate times duration.",
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
            "How many HTTP requests are inside the process at once?",
            "a handful: rate times duration.",
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
            "How many connections does each listener have open?",
            "a few for each client; an idle one is closed after five seconds.",
            "Errors above: what is refused, when it stands at its limit.",
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
    "How is one process doing? Choose it above.",
    (
        PanelRow(Heading.RATE, RATE),
        PanelRow(Heading.ERRORS, ERRORS),
        PanelRow(Heading.DURATION, DURATION),
        PanelRow(Heading.SATURATION, SATURATION),
        signals(NEWEST, only_problems=False),
    ),
)

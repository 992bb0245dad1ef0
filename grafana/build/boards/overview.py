"""Dashboard of the customers' view: objectives and error budgets, then rate, errors and duration at the edge."""

from grafana.build.lib.panel import Board, Heading, Limit, Panel, PanelKind, PanelRow, Query, Words
from grafana.build.lib.promql import bound, chosen, highest, per_second, quantile, series, share, total
from grafana.build.lib.quantiles import FRACTIONS
from grafana.build.panels.signals import signals, traces
from grafana.build.panels.slo import slo_row
from observability.prometheus.build import thresholds
from observability.prometheus.build.objectives import ORDER_SLOW, SLOW_SECONDS, STALE_SECONDS
from observability.prometheus.build.service_rules import OUR_JOBS

REQUESTS = "http_server_request_duration_seconds"
EDGE = 'context="edge"'
PLACING = (EDGE, 'http_request_method="POST"', 'http_route="/orders"')
ROUTE = ("http_request_method", "http_route")
COUNT = f"{REQUESTS}_count"

RATE = (
    Panel(
        21,
        "Requests by route",
        "reqps",
        Words(
            "Requests of customers a second, by route.",
            "the daily shape of demand.",
            "a fall to 0: customers do not reach the shop.",
            "errors below; if nothing fails, look at the load balancer and the network in front of the edge.",
        ),
        (Query(per_second(series(COUNT, EDGE), *ROUTE), "{{http_request_method}} {{http_route}}"),),
        stacked=True,
        width=12,
    ),
    Panel(
        22,
        "Requests by status",
        "reqps",
        Words(
            "Answers a second, by status.",
            "2xx for nearly all; 409 and 422 are customers' mistakes; with 499 the customer left before the answer.",
            "5xx, or a rise of 4xx.",
            "share of 5xx below; Service for the outcomes behind 4xx.",
        ),
        (Query(per_second(series(COUNT, EDGE), "http_response_status_code"), "{{http_response_status_code}}"),),
        stacked=True,
        width=12,
        opens="shop-service",
    ),
)
ERRORS = (
    Panel(
        31,
        "Share of 5xx by route",
        "percentunit",
        Words(
            "Share of requests that failed through a fault of ours, by route.",
            "0; the objective for placing an order allows one in a thousand.",
            "any lasting share: the error budget burns.",
            "Service, share of faults by use case: it names the part that fails.",
        ),
        (
            Query(
                share(series(COUNT, EDGE, 'http_response_status_code=~"5.."'), series(COUNT, EDGE), *ROUTE),
                "{{http_request_method}} {{http_route}}",
            ),
        ),
        opens="shop-service",
    ),
    Panel(
        32,
        "Share of 4xx by route",
        "percentunit",
        Words(
            "Share of requests rejected as the client's mistake, by route.",
            "a steady low share.",
            "a step after a release: we broke a client.",
            "Service, outcomes: OUT_OF_STOCK and INVALID_QUANTITY have different causes.",
        ),
        (
            Query(
                share(series(COUNT, EDGE, 'http_response_status_code=~"4.."'), series(COUNT, EDGE), *ROUTE),
                "{{http_request_method}} {{http_route}}",
            ),
        ),
        opens="shop-service",
    ),
    Panel(
        33,
        "Alerts firing",
        "none",
        Words(
            "Alerts that fire now.",
            "only ShopWatchdog, which always fires.",
            "any other. No ShopWatchdog: rules are not evaluated.",
            "the dashboard_url and the runbook_url of the alert.",
        ),
        (Query('sum by (alertname, severity) (ALERTS{alertname=~"Shop.*", alertstate="firing"})', "firing"),),
        kind=PanelKind.TABLE,
    ),
)
DURATION = (
    Panel(
        41,
        "Placing an order",
        "s",
        Words(
            "How long customers wait for an order, from the request's headers to the last byte of the answer.",
            f"nearly all below {SLOW_SECONDS} s, the objective.",
            "above the line, or p99 moving away from p50.",
            "an exemplar, which leads to its trace; then Dependencies, whose waits explain most of it.",
        ),
        tuple(
            Query(quantile(fraction, series(f"{REQUESTS}_bucket", *PLACING)), name, exemplars=name == "p95")
            for fraction, name in FRACTIONS.items()
        ),
        limits=(Limit(SLOW_SECONDS),),
        opens="shop-dependencies",
    ),
    Panel(
        42,
        "Response time by route, p95",
        "s",
        Words(
            "95th percentile of the response time, by route.",
            "reads of one order in a few milliseconds, placing an order in tens.",
            "one route slow: its use case. All slower alike: the process.",
            "Service if one route is slow; Runtime if all are.",
        ),
        (
            Query(
                quantile(0.95, series(f"{REQUESTS}_bucket", EDGE), *ROUTE),
                "{{http_request_method}} {{http_route}}",
                exemplars=True,
            ),
        ),
        opens="shop-runtime",
    ),
    Panel(
        43,
        "Orders in time",
        "percentunit",
        Words(
            f"Share of placed orders that were answered within {SLOW_SECONDS} s.",
            f"{ORDER_SLOW.target} and more, the objective.",
            "below: the error budget burns.",
            "the burn of the latency objective, which shows whether this lasts.",
        ),
        (
            Query(
                share(
                    series(f"{REQUESTS}_bucket", *PLACING, 'http_response_status_code!~"5.."', bound(SLOW_SECONDS)),
                    series(COUNT, *PLACING, 'http_response_status_code!~"5.."'),
                ),
                "in time",
            ),
        ),
        limits=(Limit(ORDER_SLOW.target, bad_below=True),),
    ),
)
SATURATION = (
    Panel(
        51,
        "Requests being answered",
        "none",
        Words(
            "Requests inside the edge now.",
            "a handful: rate times duration.",
            "a rise without more demand: requests queue.",
            "Dependencies, callers waiting for a connection; then Runtime, event loop.",
        ),
        (Query(total(series("http_server_active_requests", EDGE), "job"), "{{job}}"),),
        width=12,
        opens="shop-dependencies",
    ),
    Panel(
        52,
        "Age of the list of orders",
        "s",
        Words(
            "Age of the data that customers see when they list their orders.",
            "below a second.",
            f"above {STALE_SECONDS:g} s the objective counts it as stale.",
            "Events, to see whether the relay or the consumer is behind.",
        ),
        (Query(highest('shop_consumer_lag_seconds{consumer="order_summaries"}', "job"), "{{job}}"),),
        limits=(Limit(STALE_SECONDS),),
        width=12,
        opens="shop-events",
    ),
)
RESOURCES = (
    Panel(
        61,
        "Processes up",
        "none",
        Words(
            "Whether each process answers Prometheus.",
            "1 for each.",
            "0: the process is down. A line that ends: the process was removed.",
            "the logs of the process, then Runtime for what it did before.",
        ),
        (Query(f'min by (job, instance) (up{{job=~"$job", job=~"{OUR_JOBS}"}})', "{{job}} {{instance}}"),),
        limits=(Limit(1, critical=True, bad_below=True),),
        width=12,
        opens="shop-runtime",
    ),
    Panel(
        62,
        "Cores used by process",
        "none",
        Words(
            "CPU cores that each process uses. One interpreter can use about 1.",
            f"below {thresholds.CPU_SATURATED.text}.",
            "near 1: requests wait for the CPU.",
            "Runtime: event-loop lag and garbage collection.",
        ),
        (Query(per_second(chosen("process_cpu_seconds_total"), "job", "instance"), "{{job}} {{instance}}"),),
        limits=(Limit(thresholds.CPU_SATURATED.limit),),
        width=12,
        opens="shop-runtime",
    ),
)
CALLS = Panel(
    74,
    "Calls between services",
    "reqps",
    Words(
        "Calls between services, a second, counted from spans by the Collector before it samples.",
        "edge to order to inventory; no other calls while a request waits.",
        "a pair that should not be there, or more calls than requests need.",
        "the graph beside it, then Dependencies for the busy pair.",
    ),
    (Query(per_second("traces_service_graph_request_total", "client", "server"), "{{client}} to {{server}}"),),
    width=12,
    opens="shop-dependencies",
)
GRAPH = Panel(
    73,
    "Service graph",
    "none",
    Words(
        "Services that call each other, and how often.",
        "the same arrows as in the architecture documents.",
        "an arrow that the documents do not have, or one that is missing.",
        "Dependencies for an arrow that is busier than it should be.",
    ),
    (),
    kind=PanelKind.GRAPH,
    width=12,
    opens="shop-dependencies",
)
FAILED = traces(
    72, "Failed requests", "order", tags="error=true", then="the first red span of the trace, and the logs beside it."
)
BOARD = Board(
    "shop-overview",
    "Overview",
    "The state of the shop as its customers see it.",
    (
        slo_row(),
        PanelRow(Heading.RATE, RATE),
        PanelRow(Heading.ERRORS, ERRORS),
        PanelRow(Heading.DURATION, DURATION),
        PanelRow(Heading.SATURATION, SATURATION),
        PanelRow(Heading.RESOURCES, RESOURCES),
        signals(FAILED, GRAPH, CALLS),
    ),
)

"""Is the shop well, as its customers see it? Objectives and budgets, then the edge's rate, errors and duration."""

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
            "How much do customers ask for, and of what?",
            "the daily shape of demand; a fall to 0 is as bad as errors.",
            "errors below; if demand is gone and nothing fails, look at what stands before the edge.",
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
            "How are requests answered?",
            "2xx for nearly all; 409 and 422 are customers' own; 499 left before the answer.",
            "share of errors below for 5xx; Service for the outcomes behind 4xx.",
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
            "Which routes fail through a fault of ours?",
            "0; the objective for placing an order allows one in a thousand.",
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
            "Which routes turn customers away?",
            "a steady low share; a step after a release means that we broke a client.",
            "Service, use cases by outcome: OUT_OF_STOCK and INVALID_QUANTITY are different stories.",
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
            "What does Prometheus complain about now?",
            "an empty list, but for the watchdog that always fires.",
            "the dashboard_url and the runbook_url of the alert.",
        ),
        (Query('sum by (alertname, severity) (ALERTS{alertname=~"Shop.*", alertstate="firing"})'),),
        kind=PanelKind.TABLE,
    ),
)
DURATION = (
    Panel(
        41,
        "Placing an order",
        "s",
        Words(
            "How long do customers wait for an order, from headers in to the last byte out?",
            f"nearly all below {SLOW_SECONDS} s, the objective; p50 and p99 not moving apart.",
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
        "Answers by route, p95",
        "s",
        Words(
            "Is one route slow, or all of them?",
            "reads of one order in a few milliseconds, placing in tens.",
            "Service if one route is slow; Runtime if all are slower alike.",
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
            f"Which share of placed orders was answered within {SLOW_SECONDS} s?",
            f"{ORDER_SLOW.target} and more, the objective.",
            "the burn of the latency objective: it says whether this lasts.",
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
            "How many requests are inside the edge at once?",
            "rate times duration: a handful. A climb without more demand is a queue.",
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
            "How old is what customers see when they list their orders?",
            f"below a second; the objective calls {STALE_SECONDS:g} s stale.",
            "Events: whether the relay or the consumer is behind.",
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
            "Does each process answer Prometheus?",
            "1 for each; 0 is down, a line that ends is gone.",
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
            "Is a process out of processor?",
            f"below {thresholds.CPU_SATURATED.text}: one interpreter can use about one core.",
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
        "Who calls whom, how often? Counted from spans by the Collector, before it samples.",
        "edge to order to inventory; nothing else in a path of a request.",
        "the graph beside it, then Dependencies for the pair that is busy.",
    ),
    (Query(per_second("traces_service_graph_request_total", "client", "server"), "{{client}} to {{server}}"),),
    width=12,
    opens="shop-dependencies",
)
GRAPH = Panel(
    73,
    "Who calls whom",
    "none",
    Words(
        "Which services stand behind a request, and how often does one call the other?",
        "the arrows of docs, and none that nobody drew.",
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
    "Is the shop well, as its customers see it?",
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

"""Panels of circuit breakers, retries and admission control: calls not sent, retries, rejected requests."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, grown, per_second, share, total
from observability.prometheus.build import thresholds

ANSWERED = "rpc_server_call_duration_seconds_count"
DECISIONS = "shop_admission_decisions_total"

PROTECTION_ERRORS = (
    Panel(
        35,
        "RPCs not made",
        "ops",
        Words(
            "RPCs a second that the caller did not send, by dependency and reason: circuit_open or throttled.",
            "0.",
            f"any. ShopCallsThrottled fires above {thresholds.CALLS_THROTTLED.text} throttled calls a second.",
            "circuit breaker changes beside it for circuit_open; share of requests rejected by the called service"
            " for throttled.",
        ),
        (
            Query(
                per_second(chosen("shop_rpc_client_rejections_total"), "context", "dependency", "reason"),
                "{{context}} {{dependency}} {{reason}}",
            ),
        ),
        limits=(Limit(thresholds.CALLS_THROTTLED.limit),),
        width=6,
    ),
    Panel(
        36,
        "Circuit breaker changes",
        "none",
        Words(
            "How often each circuit breaker changed to a state: open, half_open or closed.",
            "nothing.",
            "open: ShopCircuitOpened fires. Open again and again: the service answers only part of the calls.",
            "the logs of the called process.",
        ),
        (
            Query(
                grown(chosen("shop_circuit_breaker_transitions_total"), "context", "dependency", "state"),
                "{{context}} {{dependency}} {{state}}",
            ),
        ),
        width=6,
        opens="shop-service",
    ),
    Panel(
        37,
        "Share of RPCs that are retries",
        "percentunit",
        Words(
            "Share of the RPCs answered that are a second or later attempt.",
            "0.",
            f"ShopCallsRepeated fires above {thresholds.CALLS_REPEATED.text}; the retry budget holds it at about 0.1.",
            "time on the wire, then the network between the two processes.",
        ),
        (
            Query(
                share(chosen("shop_rpc_server_repeated_attempts_total"), chosen(ANSWERED), "context", "rpc_method"),
                "{{context}} {{rpc_method}}",
            ),
        ),
        limits=(Limit(thresholds.CALLS_REPEATED.limit),),
        width=6,
    ),
    Panel(
        38,
        "Share of requests rejected",
        "percentunit",
        Words(
            "Share of requests that a process rejected because it is overloaded.",
            "0.",
            f"more work than capacity. ShopRequestsShed fires above {thresholds.REQUESTS_SHED.text}.",
            "requests rejected, by reason: limit is the pool, loop_lag the CPU, deadline a caller with too little"
            " time left.",
        ),
        (
            Query(
                share(chosen(DECISIONS, 'decision!="admitted"'), chosen(DECISIONS), "context", "stage"),
                "{{context}} {{stage}}",
            ),
        ),
        limits=(Limit(thresholds.REQUESTS_SHED.limit),),
        width=6,
        opens="shop-runtime",
    ),
)
PROTECTION_SATURATION = (
    Panel(
        56,
        "Circuit breakers not closed",
        "none",
        Words(
            "Circuit breakers that are open or half open, by dependency.",
            "0.",
            "1: calls to this dependency are not sent, or only a few probes.",
            "RPCs not made; Service of the called process.",
        ),
        (
            Query(
                total(chosen("shop_circuit_breaker_state", 'state!="closed"'), "context", "dependency", "state"),
                "{{context}} {{dependency}} {{state}}",
            ),
        ),
        width=8,
        opens="shop-service",
    ),
    Panel(
        57,
        "Share of admission slots in use",
        "percentunit",
        Words(
            "Admitted requests as a share of the slots, for requests that run here and for those that wait for"
            " another service.",
            "well below 0.5.",
            "above 0.5, where lists are rejected; at 1 every request is rejected.",
            "mean wait for a connection; event-loop lag on Runtime.",
        ),
        (
            Query(
                f"{total(chosen('shop_admission_in_flight'), 'context', 'state')}"
                f" / {total(chosen('shop_admission_limit'), 'context', 'state')}",
                "{{context}} {{state}}",
            ),
        ),
        width=8,
        opens="shop-runtime",
    ),
    Panel(
        58,
        "Requests rejected, by reason",
        "ops",
        Words(
            "Requests rejected a second, by what was missing.",
            "nothing.",
            "limit: no slot is free (there are two for each connection of the pool). loop_lag: no CPU. deadline: no"
            " time.",
            "what the reason names: the pool, Runtime, or the callers' deadlines.",
        ),
        (
            Query(
                per_second(chosen(DECISIONS, 'decision!="admitted"'), "context", "decision"), "{{context}} {{decision}}"
            ),
        ),
        width=8,
    ),
)

"""What do the guards of a call do? Calls that are not made, calls made again, requests turned away at the door."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, grown, per_second, share, total
from observability.prometheus.build import thresholds

ANSWERED = "rpc_server_call_duration_seconds_count"
DECISIONS = "shop_admission_decisions_total"

GUARD_ERRORS = (
    Panel(
        35,
        "RPCs not made",
        "ops",
        Words(
            "Which services are not called, and why?",
            f"0. ShopCallsThrottled fires above {thresholds.CALLS_THROTTLED.text} a second that are throttled.",
            "breaker beside it when the circuit is open; requests rejected by the called service when throttled.",
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
        "Breakers that changed",
        "none",
        Words(
            "Which service was found away, and found again?",
            "nothing. ShopCircuitOpened fires when one comes to be open.",
            "the logs of the called process; a circuit that opens again and again has a service that is half there.",
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
        "Share of RPCs answered that are not the first attempt",
        "percentunit",
        Words(
            "Do calls fail on their way?",
            f"0. ShopCallsRepeated fires above {thresholds.CALLS_REPEATED.text}; the budget ends repeats at about 0.1.",
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
            "Is there more work than time?",
            f"0. ShopRequestsShed fires above {thresholds.REQUESTS_SHED.text}.",
            "reason: limit is the pool, loop_lag the processor, deadline a caller with too little time left.",
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
GUARD_SATURATION = (
    Panel(
        56,
        "Breakers that are not closed",
        "none",
        Words(
            "Is a service not called now?",
            "0. 1 is a breaker that is open, or half open for a few probes.",
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
            "How close is a process to rejecting requests?",
            "well below 0.5, from where on lists are rejected. Waiting are those that wait for another service.",
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
            "What is there too little of?",
            "nothing. limit: slots, which are twice the pool's connections; loop_lag: processor; deadline: time.",
            "what the reason names: pool, Runtime, or the callers' deadlines.",
        ),
        (
            Query(
                per_second(chosen(DECISIONS, 'decision!="admitted"'), "context", "decision"), "{{context}} {{decision}}"
            ),
        ),
        width=8,
    ),
)

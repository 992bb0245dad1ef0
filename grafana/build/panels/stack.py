"""Dashboard of the telemetry itself: spans from a process through the Collector; scrapes, rules, alerts."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, grown, part, per_second
from observability.prometheus.build import thresholds
from observability.prometheus.build.service_rules import OUR_JOBS

PROCESS = ("job", "instance")
LEGEND = "{{job}} {{instance}}"
# A span is taken by a receiver and handed on by an exporter: each series has one of the two labels.
HANDS = (*PROCESS, "receiver", "exporter")
HANDS_LEGEND = "{{instance}} {{receiver}}{{exporter}}"
PROCESSED = "otel_sdk_processor_span_processed_total"
EXPORTED = "otel_sdk_exporter_span_exported_total"
DROPPED = 'error_type="queue_full"'
LOST = 'error_type=~"export_failed|rejected"'


def _collector(*metrics: str, by: tuple[str, ...] = PROCESS) -> str:
    """Return the rate of the Collector's counters; whether their names end in `_total` depends on its settings."""
    names = "|".join(metrics)
    return per_second(f'{{__name__=~"otelcol_({names})(_total)?"}}', *by)


STACK_RATE = (
    Panel(
        22,
        "Spans ended and handed over",
        "ops",
        Words(
            "How much do processes trace, and is all of it handed over?",
            "the two lines of a process on one another.",
            "spans lost below, if they part.",
        ),
        (
            Query(per_second(chosen(PROCESSED), *PROCESS), f"{LEGEND} ended"),
            Query(per_second(chosen(EXPORTED, 'error_type=""'), *PROCESS), f"{LEGEND} handed over"),
        ),
    ),
    Panel(
        23,
        "Collector: spans taken and handed on",
        "ops",
        Words(
            "How many spans does the Collector take, and how many reach Jaeger?",
            "the two on one another, but for what sampling leaves out.",
            "the Collector's losses below.",
        ),
        (Query(_collector("receiver_accepted_spans", "exporter_sent_spans", by=HANDS), HANDS_LEGEND),),
    ),
)
STACK_ERRORS = (
    Panel(
        31,
        "Spans dropped",
        "ops",
        Words(
            "Does a process drop spans because its queue is full?",
            f"0. ShopSpansDropped fires above {thresholds.SPANS_DROPPED.text} a second.",
            "spans not handed over: the queue fills when the Collector takes none.",
        ),
        (Query(part(chosen(PROCESSED, DROPPED), chosen(PROCESSED), *PROCESS), LEGEND),),
        limits=(Limit(thresholds.SPANS_DROPPED.limit),),
        width=6,
    ),
    Panel(
        32,
        "Spans not handed over",
        "ops",
        Words(
            "Does a process lose spans because the Collector does not take them?",
            f"0. ShopSpanExportFailing fires above {thresholds.SPAN_EXPORT_FAILING.text} a second.",
            "scrapes: is the Collector up? Then what it refuses.",
        ),
        (Query(part(chosen(EXPORTED, LOST), chosen(EXPORTED), *PROCESS), LEGEND),),
        limits=(Limit(thresholds.SPAN_EXPORT_FAILING.limit),),
        width=6,
    ),
    Panel(
        38,
        "Log lines dropped",
        "ops",
        Words(
            "Does a process lose log lines because what takes them is full or too slow?",
            "0. The log says how many were lost, and why, when it works again.",
            "the disk, or the reader of standard output, of that process.",
        ),
        (Query(per_second(chosen("shop_log_lines_dropped_total"), *PROCESS, "output"), f"{LEGEND} {{{{output}}}}"),),
        width=6,
    ),
    Panel(
        33,
        "Collector: spans lost",
        "ops",
        Words(
            "Does the Collector refuse, fail to hand on, or drop spans?",
            f"0. ShopCollectorSpansRefused and its like fire above {thresholds.COLLECTOR_SPANS_LOST.text} a second.",
            "the Collector's log; refused is memory, failed is Jaeger, dropped is a full queue.",
        ),
        (
            Query(
                _collector("receiver_refused_spans", "processor_memory_limiter_refused_spans"), "{{instance}} refused"
            ),
            Query(_collector("exporter_send_failed_spans"), "{{instance}} failed"),
            Query(_collector("exporter_enqueue_failed_spans"), "{{instance}} dropped"),
        ),
        limits=(Limit(thresholds.COLLECTOR_SPANS_LOST.limit),),
        width=6,
    ),
    Panel(
        34,
        "Scrapes of the rest of the stack",
        "none",
        Words(
            "Does Prometheus see the parts that are not ours?",
            "1 for each; 0 is down.",
            "the log of the part that is down.",
        ),
        (Query(f'min by (job, instance) (up{{job!~"{OUR_JOBS}"}})', LEGEND),),
        limits=(Limit(1, bad_below=True),),
        width=6,
    ),
    Panel(
        35,
        "Rule evaluations that failed",
        "none",
        Words(
            "Can every rule be evaluated?",
            "0: a rule that ends in an error cannot fire.",
            "Prometheus, page Rules: the error stands beside the rule.",
        ),
        (
            Query(
                grown("prometheus_rule_evaluation_failures_total", *PROCESS, "rule_group"),
                "{{instance}} {{rule_group}}",
            ),
        ),
        limits=(Limit(1),),
        width=6,
    ),
    Panel(
        36,
        "Share of alerts that Alertmanager did not take",
        "percentunit",
        Words(
            "Does Prometheus reach Alertmanager?",
            f"0. ShopAlertSendingFailing fires above {thresholds.ALERT_SENDING_FAILING.text}.",
            "scrapes of the rest of the stack: is Alertmanager up?",
        ),
        (
            Query(
                f"{per_second('prometheus_notifications_errors_total', 'alertmanager')}"
                f" / {per_second('prometheus_notifications_sent_total', 'alertmanager')}",
                "{{alertmanager}}",
            ),
        ),
        limits=(Limit(thresholds.ALERT_SENDING_FAILING.limit),),
        width=6,
    ),
    Panel(
        37,
        "Notifications that failed",
        "ops",
        Words(
            "Does Alertmanager reach a person?",
            "0: it tries again, but somebody waits for the news.",
            "Alertmanager's log, which has the receiver's answer.",
        ),
        (
            Query(
                per_second("alertmanager_notifications_failed_total", *PROCESS, "integration"),
                "{{instance}} {{integration}}",
            ),
        ),
        limits=(Limit(thresholds.ALERTMANAGER_NOTIFYING_FAILING.limit),),
        width=6,
    ),
)

"""Panels of the telemetry itself: spans from a process through the Collector; scrapes, rules, alerts."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, grown, part, per_second
from observability.prometheus.build import thresholds
from observability.prometheus.build.service_rules import OUR_JOBS

PROCESS = ("job", "instance")
LEGEND = "{{job}} {{instance}}"
# A receiver accepts spans and an exporter sends them: each series has one of the two labels.
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
        "Spans ended and exported",
        "ops",
        Words(
            "Spans that processes ended and exported, a second.",
            "both lines of a process at the same height.",
            "exported below ended: spans are lost.",
            "spans dropped and spans not exported, below.",
        ),
        (
            Query(per_second(chosen(PROCESSED), *PROCESS), f"{LEGEND} ended"),
            Query(per_second(chosen(EXPORTED, 'error_type=""'), *PROCESS), f"{LEGEND} exported"),
        ),
    ),
    Panel(
        23,
        "Collector: spans received and sent",
        "ops",
        Words(
            "Spans that the Collector received and sent on, a second.",
            "both at the same height, less the traces that sampling leaves out.",
            "sent far below received: the Collector loses spans.",
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
            "Spans a second that a process dropped because its queue was full.",
            "0.",
            f"ShopSpansDropped fires above {thresholds.SPANS_DROPPED.text} a second.",
            "spans not exported: the queue fills up when the Collector accepts none.",
        ),
        (Query(part(chosen(PROCESSED, DROPPED), chosen(PROCESSED), *PROCESS), LEGEND),),
        limits=(Limit(thresholds.SPANS_DROPPED.limit),),
        width=6,
    ),
    Panel(
        32,
        "Spans not exported",
        "ops",
        Words(
            "Spans a second that a process lost because the Collector did not accept them.",
            "0.",
            f"ShopSpanExportFailing fires above {thresholds.SPAN_EXPORT_FAILING.text} a second.",
            "scrapes, to see whether the Collector is up; then what it refuses.",
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
            "Log lines a second that a process lost because its output was full or too slow.",
            "0.",
            "any. When the output works again, the log says how many lines were lost, and why.",
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
            "Spans a second that the Collector refused, failed to send, or dropped.",
            "0.",
            "refused: no memory. failed: Jaeger. dropped: a full queue. ShopCollectorSpansRefused and its like fire"
            f" above {thresholds.COLLECTOR_SPANS_LOST.text} a second.",
            "the Collector's log.",
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
            "Whether Prometheus can scrape the programs that are not ours.",
            "1 for each.",
            "0: that program is down or does not answer.",
            "the log of that program.",
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
            "Evaluations of rules that ended in an error.",
            "0.",
            "any: a rule that ends in an error cannot fire.",
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
        "Share of alerts not delivered to Alertmanager",
        "percentunit",
        Words(
            "Share of alerts that Prometheus could not deliver to Alertmanager.",
            "0.",
            f"ShopAlertSendingFailing fires above {thresholds.ALERT_SENDING_FAILING.text}.",
            "scrapes of the rest of the stack, to see whether Alertmanager is up.",
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
            "Notifications a second that Alertmanager could not deliver, by integration.",
            "0.",
            "any: Alertmanager retries, but the person on call does not know yet.",
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

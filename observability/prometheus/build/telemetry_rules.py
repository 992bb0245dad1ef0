"""Rules of lost telemetry: spans that a process drops or cannot export, and spans that the Collector loses."""

from observability.prometheus.build import thresholds
from observability.prometheus.build.model import Alert, RuleGroup
from observability.prometheus.build.pace import Pace

PROCESS = "{{ $labels.job }} at {{ $labels.instance }}"
A_SECOND = "{{ $value | humanize }} spans a second"


def telemetry_groups(pace: Pace) -> list[RuleGroup]:
    """Return the alerts on lost spans, on their way out of a process and through the Collector."""
    return [
        RuleGroup("sdk", [spans_dropped(pace), span_export_failing(pace)]),
        RuleGroup(
            "collector",
            [
                collector_lost(
                    "Refused",
                    "(receiver|processor_memory_limiter)_refused_spans",
                    "The Collector refuses spans because it is short of memory.",
                    pace,
                ),
                collector_lost(
                    "Failed", "exporter_send_failed_spans", "The Collector cannot pass spans on and loses them.", pace
                ),
                collector_lost(
                    "Dropped",
                    "exporter_enqueue_failed_spans",
                    "The Collector drops spans because a queue is full.",
                    pace,
                ),
            ],
        ),
    ]


def spans_dropped(pace: Pace) -> Alert:
    """Return the alert on spans that a process drops because its queue is full."""
    threshold = thresholds.SPANS_DROPPED
    metric = 'otel_sdk_processor_span_processed_total{error_type="queue_full"}'
    return Alert(
        name="ShopSpansDropped",
        expression=f"rate({metric}[{pace(threshold.window_seconds)}]) > {threshold.text}",
        for_seconds=threshold.for_seconds,
        affects="telemetry",
        summary="A service drops spans because its queue is full.",
        description=f"{PROCESS} drops {A_SECOND}.",
    )


def span_export_failing(pace: Pace) -> Alert:
    """Return the alert on spans that the collector does not accept."""
    threshold = thresholds.SPAN_EXPORT_FAILING
    metric = 'otel_sdk_exporter_span_exported_total{error_type=~"export_failed|rejected"}'
    return Alert(
        name="ShopSpanExportFailing",
        expression=f"rate({metric}[{pace(threshold.window_seconds)}]) > {threshold.text}",
        for_seconds=threshold.for_seconds,
        affects="telemetry",
        summary="A service cannot deliver its spans and loses them.",
        description=f"{PROCESS} loses {A_SECOND}.",
    )


def collector_lost(how: str, metric: str, summary: str, pace: Pace) -> Alert:
    """Return the alert on one way of losing spans. The Collector's settings say whether names end in `_total`."""
    threshold = thresholds.COLLECTOR_SPANS_LOST
    verb = {"Refused": "refuses", "Failed": "loses", "Dropped": "drops"}[how]
    rate = f'rate({{__name__=~"otelcol_{metric}(_total)?"}}[{pace(threshold.window_seconds)}])'
    return Alert(
        name=f"ShopCollectorSpans{how}",
        expression=f"sum by (job, instance) ({rate}) > {threshold.text}",
        for_seconds=threshold.for_seconds,
        affects="telemetry",
        summary=summary,
        description=f"{PROCESS} {verb} {A_SECOND}.",
    )

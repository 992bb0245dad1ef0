"""Rules that watch the monitoring itself: an alert that always fires, and alerts on scrapes, rules and delivery."""

from observability.prometheus.build import thresholds
from observability.prometheus.build.model import Alert, RuleGroup
from observability.prometheus.build.pace import Pace
from observability.prometheus.build.service_rules import NOT_SCRAPED, OUR_JOBS


def meta_groups(pace: Pace) -> list[RuleGroup]:
    """Return the alerts on the monitoring that all other alerts need. Nothing mutes them."""
    return [RuleGroup("meta", [watchdog(), scrape_failing(), rule_evaluation_failing(pace), *telling(pace)])]


def watchdog() -> Alert:
    """Return the alert that always fires; when it stops, the monitoring is broken."""
    return Alert(
        name="ShopWatchdog",
        expression="vector(1)",
        severity="info",
        summary="This alert always fires: when it stops arriving, no other alert arrives either.",
        description="Prometheus evaluates its rules and reaches Alertmanager.",
    )


def scrape_failing() -> Alert:
    """Return the alert on anything but our own services; these have ShopServiceDown."""
    threshold = thresholds.SCRAPE_FAILING
    return Alert(
        name="ShopScrapeFailing",
        expression=f'up{{job!~"{OUR_JOBS}"}} == {threshold.text}',
        for_seconds=threshold.for_seconds,
        summary="Prometheus cannot scrape a program beside our own services.",
        description=NOT_SCRAPED,
    )


def rule_evaluation_failing(pace: Pace) -> Alert:
    """Return the alert on rules that end in an error, and so cannot fire."""
    threshold = thresholds.RULE_EVALUATION_FAILING
    failures = f"increase(prometheus_rule_evaluation_failures_total[{pace(threshold.window_seconds)}])"
    return Alert(
        name="ShopRuleEvaluationFailing",
        expression=f"sum by (job, instance, rule_group) ({failures}) > {threshold.text}",
        for_seconds=threshold.for_seconds,
        summary="Prometheus cannot evaluate some of its rules, so that their alerts cannot fire.",
        description='{{ $value | printf "%.0f" }} evaluations of {{ $labels.rule_group }} failed in five minutes.',
    )


def telling(pace: Pace) -> list[Alert]:
    """Return the alerts on the way from Prometheus through Alertmanager to a person."""
    sending, notifying = thresholds.ALERT_SENDING_FAILING, thresholds.ALERTMANAGER_NOTIFYING_FAILING
    window = pace(sending.window_seconds)
    sent = f"rate(prometheus_notifications_sent_total[{window}])"
    failed = f"rate(alertmanager_notifications_failed_total[{pace(notifying.window_seconds)}])"
    return [
        Alert(
            name="ShopAlertSendingFailing",
            expression=f"rate(prometheus_notifications_errors_total[{window}]) / {sent} > {sending.text}"
            f" and {sent} > {thresholds.ALERT_SENDING_LEAST_RATE}",
            for_seconds=sending.for_seconds,
            summary="Prometheus cannot deliver alerts to Alertmanager.",
            description="{{ $value | humanizePercentage }} of the alerts do not reach {{ $labels.alertmanager }}.",
        ),
        Alert(
            name="ShopAlertmanagerNotifyingFailing",
            expression=f"sum by (job, instance, integration) ({failed}) > {notifying.text}",
            for_seconds=notifying.for_seconds,
            summary="Alertmanager cannot deliver notifications, so that people are not told of alerts.",
            description="{{ $value | humanize }} notifications a second by {{ $labels.integration }} fail.",
        ),
    ]

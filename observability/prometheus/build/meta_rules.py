"""Who watches the watch? An alert that always fires, and alerts on scraping, evaluating and telling."""

from observability.prometheus.build import thresholds
from observability.prometheus.build.model import Alert, Group
from observability.prometheus.build.pace import Pace
from observability.prometheus.build.service_rules import OUR_JOBS


def meta_groups(pace: Pace) -> list[Group]:
    """Return the alerts on what the other alerts need. Nothing mutes them."""
    return [Group("meta", [watchdog(), scrape_failing(), rule_evaluation_failing(pace), *telling(pace)])]


def watchdog() -> Alert:
    """Return the alert whose silence is the news."""
    return Alert(
        name="ShopWatchdog",
        expression="vector(1)",
        severity="info",
        summary="Always firing: whoever does not get it any more has lost the alerts.",
        description="Rules are evaluated, and Alertmanager is told.",
    )


def scrape_failing() -> Alert:
    """Return the alert on anything but our own services; these have ShopServiceDown."""
    threshold = thresholds.SCRAPE_FAILING
    return Alert(
        name="ShopScrapeFailing",
        expression=f'up{{job!~"{OUR_JOBS}"}} == {threshold.text}',
        for_seconds=threshold.for_seconds,
        summary="A part of the stack cannot be scraped.",
        description="{{ $labels.job }} at {{ $labels.instance }} could not be scraped.",
    )


def rule_evaluation_failing(pace: Pace) -> Alert:
    """Return the alert on rules that end in an error, and so cannot fire."""
    threshold = thresholds.RULE_EVALUATION_FAILING
    failures = f"increase(prometheus_rule_evaluation_failures_total[{pace(threshold.window_seconds)}])"
    return Alert(
        name="ShopRuleEvaluationFailing",
        expression=f"sum by (job, instance, rule_group) ({failures}) > {threshold.text}",
        for_seconds=threshold.for_seconds,
        summary="Prometheus fails to evaluate rules.",
        description="{{ $value | humanize }} evaluations of {{ $labels.rule_group }} failed.",
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
            summary="Prometheus cannot send alerts to Alertmanager.",
            description="{{ $value | humanizePercentage }} of the alerts to {{ $labels.alertmanager }} were not taken.",
        ),
        Alert(
            name="ShopAlertmanagerNotifyingFailing",
            expression=f"sum by (job, instance, integration) ({failed}) > {notifying.text}",
            for_seconds=notifying.for_seconds,
            summary="Alertmanager cannot tell anybody.",
            description="{{ $labels.integration }} fails {{ $value | humanize }} times a second.",
        ),
    ]

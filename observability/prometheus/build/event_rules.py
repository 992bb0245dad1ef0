"""Rules of unfinished work: events, sagas, reservations, notifications, and background workers."""

from observability.prometheus.build import thresholds
from observability.prometheus.build.model import Alert, RuleGroup
from observability.prometheus.build.pace import Pace
from observability.prometheus.build.thresholds import Threshold

AGE = "{{ $value | humanizeDuration }}"
NUMBER = "{{ $value | humanize }}"
# An increase is extrapolated: 3 events are seen as 3.04.
COUNT = '{{ $value | printf "%.0f" }}'
WINDOW = "a quarter of an hour"


def event_groups(pace: Pace) -> list[RuleGroup]:
    """Return the alerts on delayed events and on unfinished work."""
    return [
        RuleGroup("events", [outbox_stalled(), relay_leaderless(), consumer_lagging(), dead_letters_parked(pace)]),
        RuleGroup(
            "work",
            [
                saga_stuck(),
                reservations_expiring(pace),
                invariant_violated(),
                worker_failing(pace),
                worker_ended(pace),
                notification_backlog(),
            ],
        ),
    ]


def rate(metric: str, labels: str, threshold: Threshold, pace: Pace) -> str:
    """Return "more of these a second, over all instances, than the threshold"."""
    return f"sum by ({labels}) (rate({metric}[{pace(threshold.window_seconds)}])) > {threshold.text}"


def outbox_stalled() -> Alert:
    """Return the alert on events that are not published."""
    return Alert(
        name="ShopOutboxStalled",
        expression=f"max by (context) (shop_outbox_oldest_age_seconds) > {thresholds.OUTBOX_STALLED.text}",
        for_seconds=thresholds.OUTBOX_STALLED.for_seconds,
        affects="reading",
        summary="Stored events are not published.",
        description=f"The oldest unpublished event of {{{{ $labels.context }}}} has waited {AGE}.",
    )


def relay_leaderless() -> Alert:
    """Return the alert on an order database, of the server `shard`, whose events no relay publishes."""
    return Alert(
        name="ShopRelayLeaderless",
        expression=f"sum by (context, shard) (shop_relay_leader) == {thresholds.RELAY_LEADERLESS.text}",
        for_seconds=thresholds.RELAY_LEADERLESS.for_seconds,
        affects="reading",
        summary="No relay holds the lease, so that no event is published.",
        description="None of the relays of {{ $labels.context }}, shard {{ $labels.shard }}, holds the lease.",
    )


def consumer_lagging() -> Alert:
    """Return the alert on a consumer that does not keep up, or does not look at all."""
    return Alert(
        name="ShopConsumerLagging",
        expression=f"max by (context, consumer) (shop_consumer_lag_seconds) > {thresholds.CONSUMER_LAGGING.text}",
        for_seconds=thresholds.CONSUMER_LAGGING.for_seconds,
        affects="reading",
        summary="A consumer is behind the event log.",
        description=f"Consumer {{{{ $labels.consumer }}}} of {{{{ $labels.context }}}} is {AGE} behind.",
    )


def dead_letters_parked(pace: Pace) -> Alert:
    """Return the alert on dead letters: events and orders that only a person can repair."""
    threshold = thresholds.DEAD_LETTERS_PARKED
    window = pace(threshold.window_seconds)
    return Alert(
        name="ShopDeadLettersParked",
        expression=f"sum by (context, consumer) (increase(shop_dead_letters_total[{window}])) > {threshold.text}",
        summary="Events or orders were parked because no attempt could process them.",
        description=f"{{{{ $labels.consumer }}}} of {{{{ $labels.context }}}} parked {COUNT} of them in {WINDOW}.",
    )


def saga_stuck() -> Alert:
    """Return the alert on an order that stays neither confirmed nor rejected."""
    return Alert(
        name="ShopSagaStuck",
        expression=f"max by (context) (shop_saga_oldest_age_seconds) > {thresholds.SAGA_STUCK.text}",
        for_seconds=thresholds.SAGA_STUCK.for_seconds,
        affects="placing",
        summary="An order is neither confirmed, rejected nor cancelled in time.",
        description=f"The oldest unfinished order has waited {AGE}.",
    )


def reservations_expiring(pace: Pace) -> Alert:
    """Return the alert on reservations that expire unsold."""
    threshold = thresholds.RESERVATIONS_EXPIRING
    return Alert(
        name="ShopReservationsExpiring",
        expression=rate("shop_reservations_expired_total", "context", threshold, pace),
        for_seconds=threshold.for_seconds,
        affects="placing",
        summary="Many reservations expire: stock is reserved and neither sold nor released.",
        description=f"{NUMBER} reservations a second expire.",
    )


def invariant_violated() -> Alert:
    """Return the alert on rows that break an invariant. Nothing mutes it."""
    return Alert(
        name="ShopInvariantViolated",
        expression=f"max by (context) (shop_invariant_violations) > {thresholds.INVARIANT_VIOLATED.text}",
        for_seconds=thresholds.INVARIANT_VIOLATED.for_seconds,
        summary="The stock does not add up.",
        description=f"{NUMBER} rows of {{{{ $labels.context }}}} violate an invariant.",
    )


def worker_failing(pace: Pace) -> Alert:
    """Return the alert on background work that fails again and again."""
    threshold = thresholds.WORKER_FAILING
    return Alert(
        name="ShopWorkerFailing",
        expression=rate("shop_worker_failures_total", "context, worker", threshold, pace),
        for_seconds=threshold.for_seconds,
        affects="reading",
        summary="A background worker fails again and again.",
        description=f"Worker {{{{ $labels.worker }}}} of {{{{ $labels.context }}}} fails {NUMBER} times a second.",
    )


def worker_ended(pace: Pace) -> Alert:
    """Return the alert on a worker that ended while its process still runs."""
    threshold = thresholds.WORKER_ENDED
    window = pace(threshold.window_seconds)
    return Alert(
        name="ShopWorkerEnded",
        expression=f"sum by (context, worker) (increase(shop_worker_ends_total[{window}])) > {threshold.text}",
        summary="A background worker ended by itself and was started again.",
        description=f"Worker {{{{ $labels.worker }}}} of {{{{ $labels.context }}}} ended {COUNT} times in {WINDOW}.",
    )


def notification_backlog() -> Alert:
    """Return the alert on customers who wait for their confirmation."""
    return Alert(
        name="ShopNotificationBacklog",
        expression=f"max by (context) (shop_notifications_pending) > {thresholds.NOTIFICATION_BACKLOG.text}",
        for_seconds=thresholds.NOTIFICATION_BACKLOG.for_seconds,
        affects="notifying",
        summary="Confirmations of orders are not sent.",
        description=f"{NUMBER} confirmations wait to be sent.",
    )

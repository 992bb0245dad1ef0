"""Alert rules for read replicas: a replica that does not answer, one that lags, and reads that are rejected."""

from observability.prometheus.build import thresholds
from observability.prometheus.build.model import Alert, RuleGroup
from observability.prometheus.build.pace import Pace

REPLICA = "{{ $labels.db_client_connection_pool_name }} of {{ $labels.job }}"


def replica_groups(pace: Pace) -> list[RuleGroup]:
    """Return the alerts on replicas. Placing orders reads none of them."""
    return [RuleGroup("replicas", [replica_down(), replica_lagging(), reads_rejected(pace)])]


def replica_down() -> Alert:
    """Return the alert on a replica that does not answer."""
    threshold = thresholds.REPLICA_DOWN
    return Alert(
        name="ShopReplicaDown",
        expression=f"shop_replica_up == {threshold.text}",
        for_seconds=threshold.for_seconds,
        affects="looking",
        summary="A read replica does not answer.",
        description=f"{REPLICA} does not answer. Other replicas get its reads, or within a budget the primary.",
    )


def replica_lagging() -> Alert:
    """Return the alert on a replica that is far behind its primary."""
    threshold = thresholds.REPLICA_LAGGING
    return Alert(
        name="ShopReplicaLagging",
        expression=f"shop_replica_lag_seconds > {threshold.text}",
        for_seconds=threshold.for_seconds,
        affects="looking",
        summary="A read replica is far behind its primary.",
        description=f"{REPLICA} is {{{{ $value | humanizeDuration }}}} behind.",
    )


def reads_rejected(pace: Pace) -> Alert:
    """Return the alert on reads that no replica can answer and that the primary has no budget for."""
    threshold = thresholds.REPLICA_READS_REJECTED
    by, window = "sum by (context, database)", pace(threshold.window_seconds)
    return Alert(
        name="ShopReplicaReadsRejected",
        expression=f'{by} (rate(shop_replica_reads_total{{target="rejected"}}[{window}])) > {threshold.text}',
        for_seconds=threshold.for_seconds,
        keep_seconds=threshold.keep_seconds,
        affects="looking",
        summary="Reads are rejected, since no replica can answer them and the primary takes no more of them.",
        description="{{ $value | humanize }} reads a second of {{ $labels.database }} are rejected.",
    )

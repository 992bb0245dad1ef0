"""Alert rules for logical shards: a move that was interrupted, and logical shards that no server accepts."""

from observability.prometheus.build import thresholds
from observability.prometheus.build.model import Alert, RuleGroup
from observability.prometheus.build.pace import Pace


def shard_groups(_pace: Pace) -> list[RuleGroup]:
    """Return the alerts on logical shards; with one server of orders they have no data."""
    return [RuleGroup("shards", [move_interrupted(), shards_unavailable()])]


def move_interrupted() -> Alert:
    """Return the alert on an incomplete move that no process is running."""
    threshold = thresholds.SHARD_MOVE_INTERRUPTED
    return Alert(
        name="ShopShardMoveInterrupted",
        expression=f'max by (context) (shop_shard_move_age_seconds{{state="interrupted"}}) > {threshold.text}',
        for_seconds=threshold.for_seconds,
        affects="placing",
        summary="A move of a logical shard is not complete, and no process makes it.",
        description="It began {{ $value | humanizeDuration }} ago. The source keeps all write-ahead log since then.",
    )


def shards_unavailable() -> Alert:
    """Return the alert on logical shards that no server accepts: their customers' orders are rejected."""
    threshold = thresholds.SHARDS_UNAVAILABLE
    return Alert(
        name="ShopShardsUnavailable",
        expression=f"max by (context, shard) (shop_logical_shards_unavailable) > {threshold.text}",
        for_seconds=threshold.for_seconds,
        affects="placing",
        summary="The customers of a logical shard are rejected: no server accepts its orders.",
        description="Server {{ $labels.shard }} has {{ $value }} logical shards by the map, and rejects their orders.",
    )

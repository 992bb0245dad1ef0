"""Panels of the logical shards of sharded orders: shards that no server accepts, and moves under way."""

from grafana.build.lib.panel import Limit, Panel, Query, Words
from grafana.build.lib.promql import chosen, highest

SHARD_ERRORS = (
    Panel(
        305,
        "Unavailable logical shards",
        "none",
        Words(
            "Logical shards that the map gives a server, and whose orders that server rejects. Empty with one server.",
            "0, and 1 for a moment while a move hands over.",
            "above 0 for longer: a move stopped in its hand-over. ShopShardsUnavailable fires.",
            "the age of a move, beside; then plumb shards list.",
        ),
        (Query(highest(chosen("shop_logical_shards_unavailable"), "context", "shard"), "{{context}} shard {{shard}}"),),
        limits=(Limit(1),),
    ),
    Panel(
        306,
        "Age of a move of a logical shard",
        "s",
        Words(
            "How long ago the move that is not complete began: running, or interrupted if no process makes it now.",
            "running: as long as its rows take to copy. interrupted: 0.",
            "interrupted above 0: ShopShardMoveInterrupted fires. Meanwhile the disk of the source fills up.",
            "plumb shards list: it names the move, and the command that continues it.",
        ),
        (Query(highest(chosen("shop_shard_move_age_seconds"), "context", "state"), "{{context}} {{state}}"),),
    ),
)

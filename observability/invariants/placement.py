"""Placement check of invariant I2: all rows of an order are on the server that the shard map names for its shard.

A row on another server is not found: a repeated request would place its order again.
"""

from collections.abc import Iterator

from observability.invariants.snapshot_reader import Reader
from observability.invariants.target import Tally
from observability.load.errors import LoadError
from services.order.domain.shard_map import ALL_ON_FIRST, ShardMap

TABLES = ("orders", "order_lines", "events", "outbox", "sagas", "idempotency_keys")
MAP = "SELECT epoch, servers FROM shard_map ORDER BY epoch DESC LIMIT 1"
# Each row of an order has the logical shard of its order, and this one that of its customer, as the table checks.
OF_ITS_ORDER = {
    "it is in another logical shard than its order": """
        SELECT 'order_lines' AS table, order_id AS "order" FROM order_lines line JOIN orders o USING (order_id)
        WHERE line.logical_shard <> o.logical_shard
        UNION ALL SELECT 'events', stream_id FROM events e JOIN orders o ON order_id = stream_id
        WHERE e.logical_shard <> o.logical_shard
        UNION ALL SELECT 'outbox', stream_id FROM outbox JOIN orders o ON order_id = stream_id
        WHERE outbox.logical_shard <> o.logical_shard
        UNION ALL SELECT 'sagas', order_id FROM sagas JOIN orders o USING (order_id)
        WHERE sagas.logical_shard <> o.logical_shard
        UNION ALL SELECT 'idempotency_keys', order_id FROM idempotency_keys key JOIN orders o ON order_id = resource_id
        WHERE key.logical_shard <> o.logical_shard"""
}


async def read_map(orders: Reader) -> ShardMap:
    """Return the shard map that holds, from the first server of orders."""
    rows = await Reader(orders.connections[:1]).rows(MAP)
    return ShardMap(rows[0]["epoch"], tuple(rows[0]["servers"])) if rows else ALL_ON_FIRST


class MoveUnderWay(LoadError):
    """A logical shard is being moved, so its rows are on two servers."""

    def __init__(self, logical_shard: int, target: int) -> None:
        super().__init__(
            f"logical shard {logical_shard} is being moved to server {target}, so its orders are on two servers: wait "
            f"until it ends; `plumb shards move {logical_shard} {target}` continues an interrupted move"
        )


async def check_no_move(orders: Reader) -> None:
    """Raise MoveUnderWay while a logical shard is being moved."""
    for row in await Reader(orders.connections[:1]).rows("SELECT logical_shard, target FROM shard_moves"):
        raise MoveUnderWay(row["logical_shard"], row["target"])


async def check_placement(orders: Reader, tally: Tally) -> None:
    """Check the logical shards in each table of each server."""
    shard_map = await read_map(orders)
    await orders.count_violations(tally, OF_ITS_ORDER)
    for number, connection in enumerate(orders.connections):
        clauses = dict(misplaced(number, shard_map))
        await Reader([connection]).count_violations(tally, clauses)


def misplaced(server: int, shard_map: ShardMap) -> Iterator[tuple[str, str]]:
    """Yield a clause and the query for the rows that a server must not have, for each table."""
    own = ", ".join(map(str, shard_map.shards_of(server))) or "NULL"
    for table in TABLES:
        yield (
            f"server {server} has rows in {table} of a logical shard that is elsewhere",
            # Purpose: one row a logical shard. In a list of NULL alone no shard is found.
            f"""
            SELECT logical_shard, count(*) AS rows FROM {table}
            WHERE logical_shard IN ({own}) IS NOT TRUE GROUP BY logical_shard""",  # made of constants
        )

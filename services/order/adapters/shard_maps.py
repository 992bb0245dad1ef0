"""Stored versions of the shard map, in the order database of server 0."""

from services.infra.postgres import Database
from services.infra.settings import BadSettings
from services.order.domain.shard_map import ALL_ON_FIRST, ShardMap


class PostgresShardMaps:
    """The versions of the map; a process reads the present one when it starts."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def current(self) -> ShardMap:
        """Return the current map, the one with the highest epoch; without one ALL_ON_FIRST, of epoch 0."""
        select = "SELECT epoch, servers FROM shard_map ORDER BY epoch DESC LIMIT 1"
        rows = await self._database.fetch("SELECT shard_map", select)
        return ShardMap(rows[0]["epoch"], tuple(rows[0]["servers"])) if rows else ALL_ON_FIRST


def check_servers(shard_map: ShardMap, servers: int) -> None:
    """Raise BadSettings when the map names a server that the settings lack, or several servers have no stored map.

    Processes that began before and after the first map was stored would look for the same order on different servers.
    """
    if servers > 1 and shard_map.epoch == ALL_ON_FIRST.epoch:
        raise BadSettings(
            f"ORDER_SHARD_DSNS: {servers} order databases have no shard map yet: run `python -m services.order.migrate`"
        )
    if (last := max(shard_map.servers)) >= servers:
        raise BadSettings(
            f"ORDER_SHARD_DSNS: the shard map names server {last}, and there are only {servers} addresses of order "
            "databases, counted from 0: give the addresses of all, in the order in which they were given first"
        )

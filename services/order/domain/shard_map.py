"""Shard map: which server has each logical shard, in numbered versions."""

from dataclasses import dataclass
from uuid import UUID

from services.order.domain.logical_shard import LOGICAL_SHARDS, logical_shard_of


@dataclass(frozen=True, slots=True)
class ShardMap:
    """One version of the map.

    epoch: number of the version; each change makes a higher one.
    servers: the server of each logical shard, in order.
    """

    epoch: int
    servers: tuple[int, ...]

    def server_of(self, customer_id: UUID) -> int:
        """Return the server that has all orders of a customer."""
        return self.servers[logical_shard_of(customer_id)]

    def shards_of(self, server: int) -> list[int]:
        """Return the logical shards of a server."""
        return [shard for shard, its_server in enumerate(self.servers) if its_server == server]


ALL_ON_FIRST = ShardMap(0, (0,) * LOGICAL_SHARDS)


def spread(servers: int, *, epoch: int) -> ShardMap:
    """Return a map that gives each server the same number of logical shards, or one more."""
    return ShardMap(epoch, tuple(shard % servers for shard in range(LOGICAL_SHARDS)))

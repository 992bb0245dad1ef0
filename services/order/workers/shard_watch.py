"""Worker that publishes metrics of the shard move under way and of the logical shards that no server accepts."""

import asyncio
from collections.abc import Sequence

from observability.telemetry.shards import ShardTelemetry
from services.order.adapters.shard_fences import ShardFences
from services.order.adapters.shard_maps import PostgresShardMaps
from services.order.adapters.shard_moves import PostgresShardMoves

POLL_SECONDS = 2.0


class ShardWatch:
    """Reads the shard map, the move under way and all fences, and publishes metrics; `step` must be run by a worker."""

    def __init__(
        self,
        *,
        maps: PostgresShardMaps,
        moves: PostgresShardMoves,
        fences: Sequence[ShardFences],
        telemetry: ShardTelemetry,
    ) -> None:
        self._maps = maps
        self._moves = moves
        self._fences = fences
        self._telemetry = telemetry

    async def step(self) -> float:
        """Read and publish once; return the seconds to wait before the next step."""
        move = await self._moves.current()
        self._telemetry.move(move.age_seconds if move else 0.0, is_running=bool(move and move.is_running))
        shard_map = await self._maps.current()
        fenced = await asyncio.gather(*(each.fenced() for each in self._fences))
        self._telemetry.unavailable(
            [len(own.intersection(shard_map.shards_of(server))) for server, own in enumerate(fenced)]
        )
        return POLL_SECONDS

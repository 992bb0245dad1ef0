"""Register of the shard move under way and of the shard map, in the order database of server 0."""

from dataclasses import replace

from services.order.adapters.shard_move_session import Move, MoveRefused, MoveSession
from services.order.domain.shard_map import ALL_ON_FIRST

LOCK_KEY = 7_074_953


class MoveRegister:
    """Stores one move at a time, until its end. Each step can be repeated."""

    def __init__(self, session: MoveSession) -> None:
        self._session = session

    async def lock(self) -> bool:
        """Take the lock of all moves until the session ends; return False if another process holds it."""
        return bool(await self._session.connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY))

    async def current(self) -> Move | None:
        """Return the move that is under way."""
        select = "SELECT logical_shard, source, target, epoch, flipped FROM shard_moves"
        row = await self._session.connection.fetchrow(select)
        return Move(**row) if row else None

    async def plan(self, logical_shard: int, target: int) -> Move:
        """Return a new move, which is not stored yet. Raises MoveRefused."""
        epoch, servers = await self._map()
        if servers[logical_shard] == target:
            raise MoveRefused(f"logical shard {logical_shard} is on server {target} already")
        return Move(logical_shard, servers[logical_shard], target, epoch + 1, flipped=False)

    async def begin(self, move: Move) -> None:
        """Store a new move."""
        insert = "INSERT INTO shard_moves (logical_shard, source, target, epoch) VALUES ($1, $2, $3, $4)"
        async with self._session.transaction("shard_move.begin") as connection:
            await connection.execute(insert, move.logical_shard, move.source, move.target, move.epoch)

    async def flip(self, move: Move) -> Move:
        """Store the new map. Its key is the epoch, so a map that was stored meanwhile is an error."""
        _, servers = await self._map()
        servers[move.logical_shard] = move.target
        async with self._session.transaction("shard_move.flip") as connection:
            insert = "INSERT INTO shard_map (epoch, servers) VALUES ($1, $2)"
            await connection.execute(insert, move.epoch, servers)
            await connection.execute("UPDATE shard_moves SET flipped = true")
        return replace(move, flipped=True)

    async def end(self, move: Move) -> None:
        """Forget the move."""
        async with self._session.transaction("shard_move.end") as connection:
            await connection.execute("DELETE FROM shard_moves WHERE epoch = $1", move.epoch)

    async def _map(self) -> tuple[int, list[int]]:
        select = "SELECT epoch, servers FROM shard_map ORDER BY epoch DESC LIMIT 1"
        row = await self._session.connection.fetchrow(select)
        return (row["epoch"], row["servers"]) if row else (ALL_ON_FIRST.epoch, list(ALL_ON_FIRST.servers))

"""Steps of a shard move on the source, the server that has the logical shard so far. Each step can be repeated."""

import asyncpg

from services.infra.crash_points import crash_points
from services.order.adapters.shard_fences import hold_fence, lift_fence, raise_fence
from services.order.adapters.shard_move_session import NAME, Move, MoveRefused, MoveSession, delete_rows

# The target gives sequences of its own, and has an outbox of its own.
EVENT_COLUMNS = "stream_id, version, event_id, type, schema_version, data, meta, occur_time, logical_shard"
COPIED = ("orders", "order_lines", f"events ({EVENT_COLUMNS})", "sagas", "idempotency_keys")


class MoveSource:
    """The server that hands its logical shard over."""

    def __init__(self, session: MoveSession, move: Move) -> None:
        self._session = session
        self._move = move

    async def check(self) -> None:
        """Raise MoveRefused unless the server can publish."""
        select = """
            SELECT current_setting('wal_level') = 'logical' AND (rolreplication OR rolsuper)
            FROM pg_roles WHERE rolname = current_user"""
        if not await self._session.connection.fetchval(select):
            raise MoveRefused(f"server {self._move.source} needs wal_level = logical, and its role REPLICATION")

    async def slot(self) -> str:
        """Return the name of the replication slot; slots belong to a whole server with all its databases."""
        database: str = await self._session.connection.fetchval("SELECT current_database()")
        return f"{database}_{NAME}"

    async def publish(self) -> None:
        """Publish the rows of the logical shard."""
        connection, shard = self._session.connection, self._move.logical_shard
        if not await connection.fetchval("SELECT count(*) FROM pg_publication WHERE pubname = $1", NAME):
            tables = ", ".join(f"{table} WHERE (logical_shard = {shard})" for table in COPIED)
            async with self._session.transaction("shard_move.publish"):
                await connection.execute(f"CREATE PUBLICATION {NAME} FOR TABLE {tables}")

    async def has_slot(self) -> bool:
        """Return whether the replication slot has all changes since the copy; one that kept too much is lost."""
        select = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1 AND wal_status <> 'lost'"
        return bool(await self._session.connection.fetchval(select, await self.slot()))

    async def make_slot(self) -> None:
        """Create the slot, which keeps changes from now on. Only before the target follows: it lacks earlier ones."""
        if not await self.has_slot():
            await self.drop_slot()
            create = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')"
            await self._session.connection.execute(create, await self.slot())
            crash_points.reached("shard_move.slot_created")

    async def lag_bytes(self, position: str | None = None) -> int:
        """Return how far the target is behind a position of the server's log, by default its present end."""
        select = """
            SELECT pg_wal_lsn_diff(coalesce($2::text::pg_lsn, pg_current_wal_flush_lsn()), confirmed_flush_lsn)::bigint
            FROM pg_replication_slots WHERE slot_name = $1"""
        lag: int = await self._session.connection.fetchval(select, await self.slot(), position)
        return lag

    async def fence(self) -> str:
        """Fence the logical shard; return a position of the server's log after its last write."""
        move = self._move
        async with self._session.transaction("shard_move.fence_source") as connection:
            if not await raise_fence(connection, move.logical_shard, move.epoch):
                raise MoveRefused("another process has continued this move")
        position: str = await self._session.connection.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        return position

    async def take_back(self) -> None:
        """Lift the fence again, since the target did not follow in time."""
        async with self._session.transaction("shard_move.take_back") as connection:
            await lift_fence(connection, self._move.logical_shard, epoch=self._move.epoch - 1)

    async def drop_slot(self) -> bool:
        """Drop the replication slot; return False while the target's connection has not ended."""
        # Purpose: a slot keeps the server's log.
        drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1"
        try:
            await self._session.connection.execute(drop, await self.slot())
        except asyncpg.ObjectInUseError:
            return False
        crash_points.reached("shard_move.slot_dropped")
        return True

    async def clean(self) -> None:
        """Delete the rows that were moved. Raises MoveRefused if the server has got the logical shard back."""
        move = self._move
        async with self._session.transaction("shard_move.clean") as connection:
            if not await hold_fence(connection, move.logical_shard, move.epoch):
                raise MoveRefused("another process has continued this move")
            await connection.execute(f"DROP PUBLICATION IF EXISTS {NAME}")
            await delete_rows(connection, move.logical_shard)

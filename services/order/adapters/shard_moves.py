"""Progress of an incomplete shard move: its age, and whether a process is running it."""

from dataclasses import dataclass

from services.infra.postgres import Database
from services.order.adapters.shard_move_register import LOCK_KEY


@dataclass(frozen=True, slots=True)
class MoveProgress:
    """A move that is not complete.

    age_seconds: since it began.
    is_running: whether a process is running it now.
    """

    age_seconds: float
    is_running: bool


class PostgresShardMoves:
    """Reads the register of moves in the order database of server 0."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def current(self) -> MoveProgress | None:
        """Return the move that is not complete; None without one."""
        # Purpose: the process that makes the move holds a lock as long as it lives. Two numbers show its 64-bit key.
        select = """
            SELECT extract(epoch FROM clock_timestamp() - create_time)::float8 AS age_seconds, EXISTS (
                SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = $1 AND objsubid = 1
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS is_running
            FROM shard_moves"""
        rows = await self._database.fetch("SELECT shard_moves", select, LOCK_KEY)
        return MoveProgress(**rows[0]) if rows else None

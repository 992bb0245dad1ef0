"""The orders that are not at rest: one row each, claimed by lease, with a fence; parked when no attempt can help."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.infra.postgres import Database
from services.order.application.ports import Saga


@dataclass(frozen=True, slots=True)
class SagaBacklog:
    """How many orders are on their way, how many of them are due for the driver, and the age of the oldest."""

    count: int
    due: int
    oldest_age_seconds: float


@dataclass(frozen=True, slots=True)
class ParkedSaga:
    """An order whose saga ended by an error that cannot change: at which version, why and when."""

    order_id: UUID
    version: int
    parked_reason: str
    create_time: datetime
    park_time: datetime


class PostgresSagas:
    """Satisfies `ports.Sagas`. A driver that dies loses what it claimed when `lease_seconds` are over."""

    def __init__(self, *, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    async def claim(self, limit: int) -> Sequence[Saga]:
        """Take what is due."""
        # Purpose: two drivers never take the same row, and neither waits for the other.
        update = """
            UPDATE sagas SET epoch = epoch + 1, attempts = attempts + 1,
                due_time = clock_timestamp() + $2 * interval '1 second'
            FROM orders o JOIN events e ON e.stream_id = o.order_id AND e.version = o.version
            WHERE sagas.order_id = o.order_id AND sagas.order_id IN (
                SELECT order_id FROM sagas WHERE due_time <= clock_timestamp()
                ORDER BY due_time LIMIT $1 FOR UPDATE SKIP LOCKED)
            RETURNING sagas.order_id, customer_id, epoch, attempts, e.meta->>'traceparent' AS traceparent"""
        async with self._database.transaction("claim_sagas") as transaction:
            rows = await transaction.fetch("UPDATE sagas", update, limit, self._lease_seconds)
        return [Saga(**row) for row in rows]

    async def postpone(self, saga: Saga, delay_seconds: float) -> None:
        """Let it be due again after a delay."""
        # Purpose: the epoch is the fence: another driver has claimed it when it has grown.
        update = """
            UPDATE sagas SET due_time = clock_timestamp() + $3 * interval '1 second'
            WHERE order_id = $1 AND epoch = $2"""
        async with self._database.transaction("postpone_saga") as transaction:
            await transaction.execute("UPDATE sagas", update, saga.order_id, saga.epoch, delay_seconds)

    async def park(self, saga: Saga, *, reason: str) -> bool:
        """Let it be due no more; False when another driver has claimed it meanwhile."""
        # Purpose: the row stays, since the order is not at rest; the epoch is the fence, as above.
        update = """
            UPDATE sagas SET due_time = 'infinity', parked_reason = $3, park_time = clock_timestamp()
            WHERE order_id = $1 AND epoch = $2"""
        async with self._database.transaction("park_saga") as transaction:
            return bool(await transaction.execute("UPDATE sagas", update, saga.order_id, saga.epoch, reason))

    async def parked(self, limit: int) -> list[ParkedSaga]:
        """Return the oldest of those that are parked."""
        # Purpose: the table holds what is not at rest and no more, so that it is read whole.
        select = """
            SELECT order_id, version, parked_reason, sagas.create_time, park_time
            FROM sagas JOIN orders USING (order_id) WHERE parked_reason IS NOT NULL ORDER BY park_time LIMIT $1"""
        rows = await self._database.fetch("SELECT sagas parked", select, limit)
        return [ParkedSaga(**row) for row in rows]

    async def count_parked(self) -> int:
        """Return how many are parked."""
        select = "SELECT count(*) FROM sagas WHERE parked_reason IS NOT NULL"
        (row,) = await self._database.fetch("SELECT sagas count", select)
        count: int = row["count"]
        return count

    async def replay(self) -> int:
        """Let all that are parked be due again; return how many."""
        # Purpose: the driver takes them as it does any other, and parks again what still cannot be done.
        update = """
            UPDATE sagas SET due_time = clock_timestamp(), parked_reason = NULL, park_time = NULL
            WHERE parked_reason IS NOT NULL"""
        async with self._database.transaction("replay_sagas") as transaction:
            return await transaction.execute("UPDATE sagas", update)

    async def backlog(self) -> SagaBacklog:
        """Count what is on its way."""
        # Purpose: what the driver's gauges show; the table holds what is under way and no more.
        select = """
            SELECT count(*) AS count, count(*) FILTER (WHERE due_time <= clock_timestamp()) AS due,
                coalesce(extract(epoch FROM clock_timestamp() - min(create_time)), 0)::float8 AS oldest_age_seconds
            FROM sagas WHERE parked_reason IS NULL"""
        (row,) = await self._database.fetch("SELECT sagas", select)
        return SagaBacklog(**row)

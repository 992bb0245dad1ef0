"""Which orders are not at rest, and who drives them? One row each, claimed by lease; a claim of old is fenced."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.infra.postgres import Database
from services.order.application.ports import Saga


@dataclass(frozen=True, slots=True)
class SagaBacklog:
    """How many orders are not at rest, how many of them are due for the driver, and the age of the oldest."""

    count: int
    due: int
    oldest_age_seconds: float


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

    async def backlog(self) -> SagaBacklog:
        """Count what is on its way."""
        # Purpose: what the driver's gauges show; the table holds what is under way and no more.
        select = """
            SELECT count(*) AS count, count(*) FILTER (WHERE due_time <= clock_timestamp()) AS due,
                coalesce(extract(epoch FROM clock_timestamp() - min(create_time)), 0)::float8 AS oldest_age_seconds
            FROM sagas"""
        (row,) = await self._database.fetch("SELECT sagas", select)
        return SagaBacklog(**row)

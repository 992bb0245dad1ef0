"""Sagas in PostgreSQL: a row per unsettled order, claimed with a lease; workers with an old epoch are ignored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.infra.postgres import Database
from services.order.application.ports import Saga


@dataclass(frozen=True, slots=True)
class SagaBacklog:
    """Sagas that are not parked.

    count: how many there are.
    due: how many of them a worker may claim now.
    oldest_age_seconds: age of the oldest; 0 without one.
    """

    count: int
    due: int
    oldest_age_seconds: float


@dataclass(frozen=True, slots=True)
class ParkedSaga:
    """A saga that was set aside because its error is final.

    order_id: its order.
    version: version of the order at which it stopped.
    parked_reason: reason of the error.
    create_time: when the saga began.
    park_time: when it was set aside.
    """

    order_id: UUID
    version: int
    parked_reason: str
    create_time: datetime
    park_time: datetime


class PostgresSagas:
    """The sagas of all orders. A claimed saga is due again after `lease_seconds`, in case its worker has died."""

    def __init__(self, *, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    async def claim(self, limit: int) -> Sequence[Saga]:
        """Claim up to `limit` sagas that are due, the longest due first; skip those that another worker is claiming."""
        # Purpose: two workers never claim the same row, and neither waits for the other. Sagas of a logical shard that
        # is being moved are the business of the server that has it. MATERIALIZED applies the limit once; a subquery may
        # be run again for each row that it is joined with, and skips the rows it has locked.
        update = """
            WITH due AS MATERIALIZED (
                SELECT order_id FROM sagas WHERE due_time <= clock_timestamp()
                    AND NOT EXISTS (SELECT FROM shard_fences f WHERE f.logical_shard = sagas.logical_shard AND fenced)
                ORDER BY due_time LIMIT $1 FOR UPDATE SKIP LOCKED)
            UPDATE sagas SET epoch = epoch + 1, attempts = attempts + 1,
                due_time = clock_timestamp() + $2 * interval '1 second'
            FROM due JOIN orders o USING (order_id) JOIN events e ON e.stream_id = o.order_id AND e.version = o.version
            WHERE sagas.order_id = due.order_id
            RETURNING sagas.order_id, customer_id, epoch, attempts, e.meta->>'traceparent' AS traceparent"""
        async with self._database.transaction("claim_sagas") as transaction:
            rows = await transaction.fetch("UPDATE sagas", update, limit, self._lease_seconds)
        return [Saga(**row) for row in rows]

    async def postpone(self, saga: Saga, delay_seconds: float) -> None:
        """Make the saga due again after a delay, unless another worker has claimed it meanwhile."""
        # Purpose: the epoch is the fence: it has grown when another worker has claimed the saga.
        update = """
            UPDATE sagas SET due_time = clock_timestamp() + $3 * interval '1 second'
            WHERE order_id = $1 AND epoch = $2"""
        async with self._database.transaction("postpone_saga") as transaction:
            await transaction.execute("UPDATE sagas", update, saga.order_id, saga.epoch, delay_seconds)

    async def park(self, saga: Saga, *, reason: str) -> bool:
        """Set the saga aside; return False when another worker has claimed it meanwhile."""
        # Purpose: the row stays, since the order is not at rest; the epoch is the fence, as above.
        update = """
            UPDATE sagas SET due_time = 'infinity', parked_reason = $3, park_time = clock_timestamp()
            WHERE order_id = $1 AND epoch = $2"""
        async with self._database.transaction("park_saga") as transaction:
            return bool(await transaction.execute("UPDATE sagas", update, saga.order_id, saga.epoch, reason))

    async def parked(self, limit: int) -> list[ParkedSaga]:
        """Return up to `limit` parked sagas, the first parked first."""
        # Purpose: no index: the table holds only orders that are not at rest, so it is small.
        select = """
            SELECT order_id, version, parked_reason, sagas.create_time, park_time
            FROM sagas JOIN orders USING (order_id) WHERE parked_reason IS NOT NULL ORDER BY park_time LIMIT $1"""
        rows = await self._database.fetch("SELECT sagas parked", select, limit)
        return [ParkedSaga(**row) for row in rows]

    async def count_parked(self) -> int:
        """Return how many sagas are parked."""
        select = "SELECT count(*) FROM sagas WHERE parked_reason IS NOT NULL"
        (row,) = await self._database.fetch("SELECT sagas count", select)
        count: int = row["count"]
        return count

    async def replay(self) -> int:
        """Make all parked sagas due now; return how many there were."""
        # Purpose: the saga worker claims them like any other, and parks again those that still fail.
        update = """
            UPDATE sagas SET due_time = clock_timestamp(), parked_reason = NULL, park_time = NULL
            WHERE parked_reason IS NOT NULL"""
        async with self._database.transaction("replay_sagas") as transaction:
            return await transaction.execute("UPDATE sagas", update)

    async def backlog(self) -> SagaBacklog:
        """Count the sagas that are not parked."""
        # Purpose: the saga worker's gauges; the table holds only orders that are not at rest.
        select = """
            SELECT count(*) AS count, count(*) FILTER (WHERE due_time <= clock_timestamp()) AS due,
                coalesce(extract(epoch FROM clock_timestamp() - min(create_time)), 0)::float8 AS oldest_age_seconds
            FROM sagas WHERE parked_reason IS NULL
                AND NOT EXISTS (SELECT FROM shard_fences f WHERE f.logical_shard = sagas.logical_shard AND fenced)"""
        (row,) = await self._database.fetch("SELECT sagas", select)
        return SagaBacklog(**row)

"""Test relay on a table of events, for tests that run its steps one by one."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg

from observability.telemetry import setup
from observability.telemetry.messaging import RelayTelemetry
from services.infra.messaging.log import EventLog
from services.infra.messaging.message import Message
from services.infra.messaging.outbox import Lease, Outbox
from services.infra.messaging.relay import Relay
from services.infra.postgres import Database

UNKNOWN = "order.unknown"


def to_message(row: asyncpg.Record) -> Message:
    """Publish an event's row as it is. Raises ValueError for one of a type that no release knows."""
    if row["type"] == UNKNOWN:
        raise ValueError(row["type"])
    return Message(
        event_id=row["event_id"],
        type=row["type"],
        aggregate_id=row["stream_id"],
        aggregate_version=row["version"],
        occur_time=row["occur_time"],
        traceparent="",
        data=b"",
    )


@dataclass(frozen=True, slots=True)
class Store:
    """The orders' database as a relay sees it."""

    database: Database
    runtime: setup.Runtime

    async def store(self, count: int = 1, *, stream_id: UUID | None = None, first_version: int = 1) -> list[UUID]:
        """Store events of one stream with their outbox rows; return their ids."""
        async with self.database.transaction("test") as transaction:
            insert = """
                WITH stored AS (
                    INSERT INTO events (stream_id, version, type, schema_version, data, meta, occur_time, logical_shard)
                    SELECT $1, version, 'order.placed', 1, '{}', '{}', clock_timestamp(), 7
                    FROM generate_series($2::bigint, $2::bigint + $3 - 1) AS version ORDER BY version
                    RETURNING stream_id, version, event_id, sequence),
                queued AS (
                    INSERT INTO outbox (stream_id, version, logical_shard)
                    SELECT stream_id, version, 7 FROM stored ORDER BY sequence)
                SELECT event_id FROM stored ORDER BY sequence"""
            rows = await transaction.fetch("INSERT", insert, stream_id or uuid4(), first_version, count)
        return [row["event_id"] for row in rows]

    def outbox(self) -> Outbox:
        """Return the outbox."""
        return Outbox(database=self.database, to_message=to_message, on_unreadable=lambda _event_id, _error: None)

    def relay(self, log: EventLog, *, lease_seconds: float = 60.0, batch_size: int = 10) -> Relay:
        """One more candidate."""
        telemetry = RelayTelemetry(self.runtime.for_context("test"))
        return Relay(
            outbox=self.outbox(), log=log, telemetry=telemetry, lease_seconds=lease_seconds, batch_size=batch_size
        )

    async def end_leases(self) -> None:
        """Let time pass until no relay has the lease."""
        await self.execute("UPDATE relay SET lease_end_time = '-infinity'")

    async def execute(self, statement: str) -> None:
        """Change something by hand."""
        async with self.database.transaction("test") as transaction:
            await transaction.execute("UPDATE", statement)

    async def row(self) -> Lease:
        """Return the row of the table `relay`."""
        select = "SELECT epoch, log_incarnation, published_count, republish_after, republish_to FROM relay"
        (row,) = await self.database.fetch("SELECT", select)
        return Lease(**row)

    async def waiting(self) -> int:
        """How many events are not published."""
        return (await self.outbox().backlog())[0]

    def value(self, name: str) -> float | None:
        """Return the value of a metric."""
        return self.runtime.metrics.registry.get_sample_value(name, {"context": "test", "shard": "0"})


async def run(relay: Relay) -> None:
    """Take steps until nothing is left to do."""
    while await relay.step() == 0.0:
        pass

"""Test consumer whose effects are rows of a database, for tests that run its steps one by one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from observability.telemetry import setup
from observability.telemetry.messaging import ConsumerTelemetry
from services.infra.messaging.consumer import Consumer
from services.infra.messaging.dead_letters import DeadLetters
from services.infra.messaging.message import Message
from services.infra.postgres import Database, Transaction
from services.infra.postgres_errors import LockTimeout
from tests.fakes.event_log import MemoryLog

NAME = "test"


@dataclass(slots=True)
class Bench:
    """Records each event in the table `effects`, in order; fails for the events in `failures`."""

    database: Database
    runtime: setup.Runtime
    log: MemoryLog = field(default_factory=MemoryLog)
    failures: dict[UUID, Exception] = field(default_factory=dict)
    asked: list[UUID] = field(default_factory=list)

    async def handle(self, transaction: Transaction, messages: Sequence[Message]) -> int:
        """Satisfies `Handle`."""
        new = 0
        for message in messages:
            self.asked.append(message.event_id)
            insert = "INSERT INTO effects VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
            keys = message.event_id, message.aggregate_id, message.aggregate_version
            new += await transaction.execute("INSERT effects", insert, *keys)
            if error := self.failures.get(message.event_id):
                raise error
        return new

    def consumer(self) -> Consumer:
        """One more replica."""
        telemetry = ConsumerTelemetry(self.runtime.for_context("test"), consumer=NAME, destination="test")
        return Consumer(NAME, database=self.database, log=self.log, handle=self.handle, telemetry=telemetry)

    async def run(self, consumer: Consumer | None = None) -> None:
        """Take steps until the log is read; what fails is tried again."""
        consumer = consumer or self.consumer()
        while await self.position() != (self.log.incarnation, len(self.log.messages)):
            await self.try_step(consumer)

    async def try_step(self, consumer: Consumer) -> None:
        """Take a step that may fail as the test demands."""
        try:
            await consumer.step()
        except LockTimeout:  # Another replica holds the cursor; the worker would try again.
            return
        except Exception as error:  # its worker would record it
            if not any(error is known for known in self.failures.values()):
                raise

    async def position(self) -> tuple[str, int] | None:
        """Where the consumer stands."""
        rows = await self.database.fetch("SELECT", "SELECT incarnation, position FROM consumer_cursors")
        return (rows[0][0], rows[0][1]) if rows else None

    async def effects(self) -> list[UUID]:
        """Return the events that had an effect, in order."""
        rows = await self.database.fetch("SELECT", "SELECT event_id FROM effects ORDER BY place")
        return [row[0] for row in rows]

    @property
    def dead_letters(self) -> DeadLetters:
        """What is parked."""
        return DeadLetters(NAME, database=self.database)

    async def parked(self) -> dict[UUID, str]:
        """Return the reasons by event."""
        return {letter.message.event_id: letter.reason for letter in await self.dead_letters.list(100)}

    def value(self, name: str) -> float | None:
        """Return the value of a metric."""
        return self.runtime.metrics.registry.get_sample_value(name, {"context": "test", "consumer": NAME})

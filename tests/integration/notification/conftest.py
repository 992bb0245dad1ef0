"""Notification on a database of its own, a log in memory and a folder; each test takes the steps by hand."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio
from google.type.money_pb2 import Money
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from shop.order.v1.order_events_pb2 import OrderEvent

from observability.telemetry import setup
from services.infra.messaging.dead_letters import DeadLetters
from services.infra.messaging.message import Message
from services.infra.migrations import migrate
from services.infra.postgres import Database
from services.local.servers.databases import Databases
from services.notification.adapters.folder import FolderSender
from services.notification.adapters.mail import Addresses
from services.notification.api import ConfirmationNotSent, EventNotUnderstood, Notification
from services.notification.application.ports import Sender
from services.notification.bootstrap import CONSUMER, NotificationParts, bootstrap_notification
from tests.fakes.event_log import MemoryLog
from tests.postgres import PostgresServer, empty

SERVICES = Path(__file__).parents[3] / "services"
MIGRATIONS = (SERVICES / "infra/messaging/consumer_migrations", SERVICES / "notification/migrations")
ADDRESSES = Addresses("orders@shop.example", "{customer_id}@customers.example")
CUSTOMER_ID = uuid4()
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
GBP_7_50 = Money(currency_code="GBP", units=7, nanos=500_000_000)


def event(
    event_type: str = "order.completed", *, order_id: UUID | None = None, version: int = 2, total: Money = GBP_7_50
) -> Message:
    """Return an event as the order context publishes it."""
    payload = OrderEvent(customer_id=str(CUSTOMER_ID), line_count=3, total=total)
    return Message(
        event_id=uuid4(),
        type=event_type,
        aggregate_id=order_id or uuid4(),
        aggregate_version=version,
        occur_time=datetime.now(UTC),
        traceparent=TRACEPARENT,
        data=payload.SerializeToString(),
    )


@dataclass(slots=True)
class FaultySender:
    """Satisfies `ports.Sender`: fails for chosen orders, passes on the others, and counts the calls."""

    sender: Sender
    failures: dict[UUID, Exception] = field(default_factory=dict)
    asked: list[UUID] = field(default_factory=list)

    async def send(self, notification: Notification) -> None:
        """Fail or hand on."""
        self.asked.append(notification.order_id)
        if error := self.failures.get(notification.order_id):
            raise error
        await self.sender.send(notification)


@dataclass(frozen=True, slots=True)
class Bench:
    """Notification under test, with its log, folder, spans and metrics."""

    dsn: str
    database: Database
    log: MemoryLog
    folder: Path
    sender: FaultySender
    parts: NotificationParts
    runtime: setup.Runtime
    spans: InMemorySpanExporter
    logs: BytesIO

    async def consume(self) -> None:
        """Take the consumer's steps until it has read the whole log; what it cannot understand it tries again."""
        while await self.position() != (self.log.incarnation, len(self.log.messages)):
            try:
                await self.parts.consume[0]()
            except EventNotUnderstood:
                continue

    async def send(self) -> None:
        """Take the sender's steps until nothing is due."""
        while await self.parts.send() == 0.0:
            pass

    async def position(self) -> tuple[str, int] | None:
        """Return the cursor of the consumer."""
        rows = await self.database.fetch("SELECT", "SELECT incarnation, position FROM consumer_cursors")
        return (rows[0][0], rows[0][1]) if rows else None

    async def rows(self) -> list[asyncpg.Record]:
        """Return all notifications, the oldest first."""
        return await self.database.fetch("SELECT", "SELECT * FROM notifications ORDER BY create_time, event_id")

    async def make_due(self) -> None:
        """Let the backoff be over."""
        async with self.database.transaction("test") as transaction:
            await transaction.execute("UPDATE", "UPDATE notifications SET due_time = now()")

    def files(self) -> list[str]:
        """Return the names in the folder, drafts included."""
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []

    @property
    def dead_letters(self) -> DeadLetters:
        """Return the consumer's dead letters."""
        return DeadLetters(CONSUMER, database=self.database)

    def value(self, name: str, labels: Mapping[str, str] | None = None) -> float | None:
        """Return a metric of the context."""
        given = {"context": "notification", **(labels or {})}
        return self.runtime.metrics.registry.get_sample_value(name, given)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def notification_test_dsn(postgres_server: PostgresServer) -> str:
    """Return the DSN of a migrated database for these tests."""
    dsns = await Databases(postgres_server.admin_dsn).create(["notification_test"])
    for folder in MIGRATIONS:
        await migrate(dsns["notification_test"], folder)
    return dsns["notification_test"]


@pytest.fixture
async def bench(notification_test_dsn: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """Notification, with nothing recorded."""
    await empty(notification_test_dsn)
    spans, logs = InMemorySpanExporter(), BytesIO()
    runtime = setup.start("test", log_level="info", processor=SimpleSpanProcessor(spans), log_stream=logs)
    telemetry = runtime.for_context("notification")
    database = await Database.open(notification_test_dsn, pool_size=4, telemetry=telemetry)
    folder = tmp_path / "notifications"
    log, sender = MemoryLog(), FaultySender(FolderSender(folder, addresses=ADDRESSES))
    parts = bootstrap_notification(database=database, logs=[log], sender=sender, telemetry=telemetry)
    yield Bench(notification_test_dsn, database, log, folder, sender, parts, runtime, spans, logs)
    await database.close(timeout_seconds=5)


@pytest.fixture
def not_sent() -> ConfirmationNotSent:
    """Return a transient failure."""
    return ConfirmationNotSent("SMTPConnectError")

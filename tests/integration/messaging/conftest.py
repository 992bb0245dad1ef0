"""A log of each kind, empty before each test; a relay and a consumer on real databases."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.telemetry import setup
from services.infra.messaging.log import EventLog
from services.infra.messaging.message import Delivery, Message
from services.infra.messaging.nats_log import NatsLog
from services.infra.messaging.postgres_log import PostgresLog
from services.infra.postgres import Database
from services.local.nats import EmbeddedNats, NatsStart, nats_server_available, start_nats
from services.local.scratch import Scratch
from tests.fakes.event_log import MemoryLog
from tests.postgres import PostgresServer

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
KINDS = ("memory", "postgres", "nats")


def message(aggregate_id: UUID | None = None, version: int = 1) -> Message:
    """An event that nobody has seen."""
    return Message(
        event_id=uuid4(),
        type="order.placed",
        aggregate_id=aggregate_id or uuid4(),
        aggregate_version=version,
        occur_time=datetime.now(UTC),
        traceparent=TRACEPARENT,
        data=f"{version}\x00é".encode(),
    )


class Nats:
    """A server that a test may kill; it comes back at the same place, with its streams."""

    def __init__(self, start: NatsStart, server: EmbeddedNats, stack: AsyncExitStack) -> None:
        self._start = replace(start, port=server.port)
        self._stack = stack
        self.server = server

    async def kill(self) -> None:
        """End it by SIGKILL."""
        await self.server.process.end_by(signal.SIGKILL, limit_seconds=5)

    async def start(self) -> None:
        """Start it on what it had written."""
        self.server = await start_nats(self._start, stack=self._stack)


@asynccontextmanager
async def running_nats(folder: Path) -> AsyncIterator[Nats]:
    """A server, or a skip that says why."""
    if not nats_server_available():
        pytest.skip("there is no nats-server here: the event log on NATS goes untested")
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        start = NatsStart(scratch=scratch, log_path=folder / "nats.log", environment=os.environ)
        yield Nats(start, await start_nats(start, stack=stack), stack)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedNats]:
    """The server of the session."""
    async with running_nats(tmp_path_factory.mktemp("nats")) as nats:
        yield nats.server


@pytest.fixture
async def mortal_nats(tmp_path: Path) -> AsyncIterator[Nats]:
    """A server of the test's own, to be killed."""
    async with running_nats(tmp_path) as nats:
        yield nats


@pytest.fixture
def runtime() -> setup.Runtime:
    """Telemetry of this test alone."""
    return setup.start("test", log_level="critical", processor=SimpleSpanProcessor(InMemorySpanExporter()))


@pytest.fixture
async def database_of(
    postgres_server: PostgresServer, clean_databases: None, runtime: setup.Runtime
) -> AsyncIterator["OpenDatabases"]:
    """Opens databases by name, empty."""
    databases = OpenDatabases(postgres_server, runtime)
    yield databases
    await databases.close()


class OpenDatabases:
    """Databases of the shop by name, closed with the test."""

    def __init__(self, server: PostgresServer, runtime: setup.Runtime) -> None:
        self._server = server
        self._runtime = runtime
        self._open: list[Database] = []

    async def __call__(self, name: str) -> Database:
        """Open one more pool."""
        telemetry = self._runtime.for_context("test")
        pool_name = f"{name}-{len(self._open)}"
        database = await Database.open(self._server.dsns[name], pool_size=4, telemetry=telemetry, name=pool_name)
        self._open.append(database)
        return database

    async def close(self) -> None:
        """Close them all."""
        for database in self._open:
            await database.close(timeout_seconds=5)


@pytest.fixture(params=KINDS)
def logs(request: pytest.FixtureRequest) -> tuple[EventLog, EventLog]:
    """One empty log as two processes have it."""
    found: tuple[EventLog, EventLog] = request.getfixturevalue(f"{request.param}_logs")
    return found


@pytest.fixture
def memory_logs() -> tuple[EventLog, EventLog]:
    """In memory."""
    log = MemoryLog()
    return log, log


@pytest.fixture
async def postgres_logs(database_of: OpenDatabases) -> tuple[EventLog, EventLog]:
    """On PostgreSQL."""
    return PostgresLog(database=await database_of("event_log")), PostgresLog(database=await database_of("event_log"))


@pytest.fixture
async def nats_logs(nats_server: EmbeddedNats) -> AsyncIterator[tuple[EventLog, EventLog]]:
    """On NATS."""
    async with AsyncExitStack() as stack:
        logs = [await NatsLog.open(nats_server.url, allow_unsafe_sync=True) for _ in range(2)]
        for log in logs:
            stack.push_async_callback(log.close)
        await logs[0].reset()
        yield logs[0], logs[1]


async def everything(log: EventLog) -> list[Delivery]:
    """All that a log holds."""
    found: list[Delivery] = []
    while True:
        batch = await log.read(after=found[-1].position if found else 0, limit=700, wait_seconds=0)
        if not batch.deliveries:
            return found
        found += batch.deliveries

"""Fixtures: an empty log of each kind, and a relay and a consumer on real databases."""

import asyncio
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
from services.infra.messaging.message import Message, ReceivedMessage
from services.infra.messaging.nats_log import NatsLog
from services.infra.messaging.postgres_log import PostgresLog
from services.infra.migrations import migrate
from services.infra.postgres import Database
from services.kernel.errors import Unavailable
from services.local.processes.scratch_folder import Scratch
from services.local.servers import nats
from services.local.servers.databases import Databases
from services.local.servers.nats import EmbeddedNats, NatsStart, nats_server_available, start_nats
from tests.fakes.event_log import MemoryLog
from tests.full import in_full
from tests.integration.messaging.consuming import Bench
from tests.integration.messaging.relaying import Store
from tests.patience import PATIENCE_SECONDS
from tests.postgres import CONSUMER, PostgresServer, empty
from tests.stack import programs
from tests.unhurried import unhurried, unhurried_nats

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EFFECTS = "CREATE TABLE effects (event_id uuid PRIMARY KEY, aggregate_id uuid, version bigint, place bigserial)"
KINDS = ("memory", "postgres", "nats", *in_full("newer_nats"))


def message(aggregate_id: UUID | None = None, version: int = 1) -> Message:
    """Return a new event."""
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
        await self.server.process.end_by(signal.SIGKILL, limit_seconds=PATIENCE_SECONDS)

    async def start(self) -> None:
        """Start it on what it had written."""
        self.server = await start_nats(self._start, stack=self._stack)


@asynccontextmanager
async def running_nats(folder: Path) -> AsyncIterator[Nats]:
    """Start a server, or skip the test with a reason."""
    if not nats_server_available():
        pytest.skip("there is no nats-server here: the event log on NATS goes untested")
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        start = NatsStart(scratch=scratch, log_path=folder / "nats.log", environment=os.environ)
        yield Nats(start, await start_nats(start, stack=stack), stack)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedNats]:
    """Yield the server of the session."""
    async with running_nats(tmp_path_factory.mktemp("nats")) as running:
        yield running.server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def newer_nats_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedNats]:
    """Yield a server of the newest release, which syncs always; the same server if there is no older one."""
    async with AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # for the start alone: the server serves the whole session
            patch.setattr(nats, "_find_binary", programs.nats_server)
            running = await stack.enter_async_context(running_nats(tmp_path_factory.mktemp("newer_nats")))
        yield running.server


@pytest.fixture
async def mortal_nats(tmp_path: Path) -> AsyncIterator[Nats]:
    """Yield a server for one test, which may kill it."""
    async with running_nats(tmp_path) as running:
        yield running


@pytest.fixture
def runtime() -> setup.Runtime:
    """Telemetry of this test alone."""
    return setup.start("test", log_level="critical", processor=SimpleSpanProcessor(InMemorySpanExporter()))


@pytest.fixture
async def database_of(
    postgres_server: PostgresServer, clean_databases: None, runtime: setup.Runtime
) -> AsyncIterator["OpenDatabases"]:
    """Return a function that opens empty databases by name."""
    databases = OpenDatabases(postgres_server, runtime)
    with unhurried():
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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def consumer_dsn(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Yield a database of the test."""
    dsn = (await Databases(postgres_server.admin_dsn).create(["consumer_test"]))["consumer_test"]
    effects: Path = tmp_path_factory.mktemp("effects")
    (effects / "effects_0001.sql").write_text(EFFECTS)
    for folder in (CONSUMER, effects):
        await migrate(dsn, folder)
    return dsn


@pytest.fixture
async def bench(consumer_dsn: str, runtime: setup.Runtime) -> AsyncIterator[Bench]:
    """Return a consumer that has consumed nothing."""
    await empty(consumer_dsn)
    database = await Database.open(consumer_dsn, pool_size=6, telemetry=runtime.for_context("test"))
    yield Bench(database, runtime)
    await database.close(timeout_seconds=5)


@pytest.fixture
async def store(database_of: "OpenDatabases", runtime: setup.Runtime) -> Store:
    """Yield the orders' database without events."""
    return Store(await database_of("order"), runtime)


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
    async with two_logs(nats_server) as logs:
        yield logs


@pytest.fixture
async def newer_nats_logs(newer_nats_server: EmbeddedNats) -> AsyncIterator[tuple[EventLog, EventLog]]:
    """On a newer NATS."""
    async with two_logs(newer_nats_server) as logs:
        yield logs


@asynccontextmanager
async def two_logs(server: EmbeddedNats) -> AsyncIterator[tuple[NatsLog, NatsLog]]:
    """One empty log of a server as two processes have it."""
    with unhurried_nats():
        async with AsyncExitStack() as stack:
            logs = [await NatsLog.open(server.url, allow_unsafe_sync=True) for _ in range(2)]
            for log in logs:
                stack.push_async_callback(log.close)
            await reset(logs[0])
            yield logs[0], logs[1]


async def reset(log: NatsLog) -> None:
    """Empty a log. NATS may refuse to create a stream while it still deletes the one before (error 10049)."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await log.reset()
            except Unavailable:
                await asyncio.sleep(0.05)


async def everything(log: EventLog) -> list[ReceivedMessage]:
    """All that a log holds."""
    found: list[ReceivedMessage] = []
    while True:
        batch = await log.read(after=found[-1].position if found else 0, limit=700, wait_seconds=0)
        if not batch.deliveries:
            return found
        found += batch.deliveries

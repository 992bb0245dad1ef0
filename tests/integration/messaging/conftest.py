"""A log of each kind, empty before each test; a relay and a consumer on real databases."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

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
    """A server of the session that a test may kill; it comes back at the same place, with its streams."""

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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nats]:
    """The server, or a skip that says why."""
    if not nats_server_available():
        pytest.skip("there is no nats-server here: the event log on NATS goes untested")
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        log_path = tmp_path_factory.mktemp("nats") / "nats.log"
        start = NatsStart(scratch=scratch, log_path=log_path, environment=os.environ)
        yield Nats(start, await start_nats(start, stack=stack), stack)


@pytest.fixture
def runtime() -> setup.Runtime:
    """Telemetry of this test alone."""
    return setup.start("test", log_level="critical")


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
async def logs(request: pytest.FixtureRequest) -> AsyncIterator[tuple[EventLog, EventLog]]:
    """One empty log as two processes have it."""
    async with AsyncExitStack() as stack:
        pair = await open_pair(request, stack)
        await pair[0].reset()
        yield pair


async def open_pair(request: pytest.FixtureRequest, stack: AsyncExitStack) -> tuple[EventLog, EventLog]:
    """Two clients of one log of the kind that a test is parametrised with."""
    if request.param == "memory":
        memory = MemoryLog()
        return memory, memory
    if request.param == "postgres":
        database_of = request.getfixturevalue("database_of")
        return PostgresLog(database=await database_of("event_log")), PostgresLog(
            database=await database_of("event_log")
        )
    url = request.getfixturevalue("nats_server").server.url
    first = await NatsLog.open(url, allow_unsafe_sync=True)
    stack.push_async_callback(first.close)
    second = await NatsLog.open(url, allow_unsafe_sync=True)
    stack.push_async_callback(second.close)
    return first, second


async def everything(log: EventLog) -> list[Delivery]:
    """All that a log holds."""
    found: list[Delivery] = []
    while True:
        batch = await log.read(after=found[-1].position if found else 0, limit=700, wait_seconds=0)
        if not batch.deliveries:
            return found
        found += batch.deliveries

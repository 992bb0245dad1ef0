"""The recorder writes an exact observation of a block, and leaves no process, task or file behind."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import psutil
import pytest
from aiohttp import web
from valkey.asyncio import Valkey

from observability.analysis.observation import Observation, Session, StatementUse, TableUse
from observability.analysis.observation_folder import read_observation
from observability.analysis.processor_metrics import measured
from observability.analysis.processor_use import Scope
from observability.experiments.runner import recorder
from observability.experiments.runner.recorder import ObserverError, observing
from observability.testbed.processor_limit import ProcessorLimit
from services.local.servers.valkey import EmbeddedValkey
from tests.cancelling import is_cancelled_at
from tests.patience import PATIENCE_SECONDS
from tests.postgres import PostgresServer

PAGE = """\
# HELP calls Calls.
# TYPE calls counter
calls_total{method="Get"} %d # {trace_id="abc"} 0.2
# HELP target Target metadata.
# TYPE target info
target_info{service_version="1.2.3"} 1.0
# HELP python_info Python.
# TYPE python_info gauge
python_info{version="3.11"} 1.0
# EOF
"""
# Far more awaits than an observation of nothing has.
MOST = 500
OBSERVERS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'plumb observer'"


class Scraped:
    """What answers /metrics; each page counts one more."""

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.status = 200
        self.answering = asyncio.Event()
        self.answering.set()

    async def page(self, request: web.Request) -> web.Response:
        self.accepted.append(request.headers["Accept"])
        await self.answering.wait()
        return web.Response(text=PAGE % len(self.accepted), status=self.status)


@dataclass(frozen=True, slots=True)
class Place:
    """All that `observing` takes."""

    folder: Path
    admin: dict[str, str]
    admin_dsn: str
    postgres_pid: int
    cache_url: str = ""
    limits: Mapping[str, ProcessorLimit] = field(default_factory=dict)

    def observed(self) -> AbstractAsyncContextManager[None]:
        return observing(
            folder=self.folder,
            admin=self.admin,
            admin_dsn=self.admin_dsn,
            databases=("order", "inventory"),
            pids={"some": psutil.Process().pid},
            postgres_pids={"postgres": self.postgres_pid},
            limits=self.limits,
            cache_url=self.cache_url,
        )

    def seen(self) -> Observation:
        """Record a folder in which another process writes traces too, and return what was recorded."""
        span = {"traceId": "1" * 32, "spanId": "1" * 16, "name": "GET /", "startTimeUnixNano": 1, "endTimeUnixNano": 2}
        request = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
        (self.folder / "traces.jsonl").write_text(json.dumps(request))
        return read_observation(self.folder)


@pytest.fixture
async def scraped() -> AsyncIterator[tuple[str, Scraped]]:
    """Return a server of metrics: its host:port, and what it was asked."""
    scraped = Scraped()
    application = web.Application()
    application.router.add_get("/metrics", scraped.page)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield f"{host}:{port}", scraped
    finally:
        scraped.answering.set()
        await runner.cleanup()


@pytest.fixture
async def admin(postgres_server: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """Return the superuser, in no database that is observed."""
    connection = await asyncpg.connect(postgres_server.admin_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def place(
    postgres_server: PostgresServer, scraped: tuple[str, Scraped], admin: asyncpg.Connection, tmp_path: Path
) -> Place:
    """Where to observe."""
    server = psutil.Process(admin.get_server_pid()).ppid()
    return Place(tmp_path / "seen", {"some": scraped[0]}, postgres_server.admin_dsn, server)


@pytest.fixture
async def one(postgres_server: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """Return a session of a service, with a table of its own."""
    connection = await asyncpg.connect(postgres_server.dsns["order"])
    await connection.execute("CREATE TABLE watched (id int PRIMARY KEY, n int NOT NULL)")
    await connection.execute("INSERT INTO watched SELECT id, 0 FROM generate_series(1, 10) AS id")
    yield connection
    await connection.execute("DROP TABLE watched")
    await connection.close()


@pytest.fixture
async def other(postgres_server: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """Another session."""
    connection = await asyncpg.connect(postgres_server.dsns["order"])
    yield connection
    await connection.close()


async def until(written: Callable[[], bool]) -> None:
    """Wait until something has been written."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not written():
            await asyncio.sleep(0.02)


def waiting(folder: Path) -> list[Session]:
    """Return the sessions that were seen waiting for a lock."""
    lines = (folder / "sessions.jsonl").read_bytes().splitlines()
    sessions = [Session(**each) for line in lines for each in orjson.loads(line)["sessions"]]
    return [session for session in sessions if session.wait_event_type == "Lock"]


async def test_a_lock_wait_shows_the_blocking_session(
    place: Place, one: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    update = "UPDATE watched SET n = $1 WHERE id = 1"
    async with place.observed():
        async with one.transaction():
            await one.execute(update, 1)
            blocked = asyncio.create_task(other.execute(update, 2))
            await until(lambda: len(waiting(place.folder)) > 1)
        await blocked
    sampled = [session for sample in place.seen().sessions for session in sample.sessions]
    waits = [session for session in sampled if session.wait_event_type == "Lock"]
    assert {(wait.pid, wait.blocked_by) for wait in waits} == {(other.get_server_pid(), (one.get_server_pid(),))}
    assert {(wait.database, wait.state, wait.query) for wait in waits} == {("order", "active", update)}
    assert 0 < waits[0].transaction_seconds < waits[-1].transaction_seconds
    holders = [session for session in sampled if session.pid == one.get_server_pid() and session.wait_event_type]
    assert "idle in transaction" in {holder.state for holder in holders}  # and "active" at its last statement
    assert {holder.blocked_by for holder in holders} == {()}


async def test_keys_of_the_cache_are_counted_exactly(place: Place, valkey_server: EmbeddedValkey) -> None:
    """What was asked before is not, nor what is asked afterwards; nor is any asking of the observer's own."""
    async with Valkey.from_url(valkey_server.url) as client:
        await client.mget(["a", "b"])
        async with replace(place, cache_url=valkey_server.url).observed():
            await client.set("a", "1")
            await client.set("b", "2", px=1)
            await client.mget(["a", "a", "c"])
            await until_left(client, keys=1)
        await client.mget(["a", "b"])
    [used] = place.seen().caches
    assert (used.hits, used.misses, used.expired, used.evicted) == (2, 1, 1, 0)


async def until_left(client: Valkey, *, keys: int) -> None:
    """Wait until the server has so many, by its own count: to ask for one would be counted."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await client.dbsize() != keys:
            await asyncio.sleep(0.02)


async def test_without_a_cache_there_is_nothing_to_say_of_one(place: Place) -> None:
    async with place.observed():
        pass
    assert place.seen().caches == ()


async def test_statements_are_counted_exactly(place: Place, one: asyncpg.Connection) -> None:
    """What was called before and after is not, nor is what nobody called meanwhile."""
    select, insert = "SELECT n FROM watched WHERE id < $1", "INSERT INTO watched VALUES ($1, $2)"
    await one.fetch(select, 4)
    await one.execute(insert, 100, 0)
    async with place.observed():
        for _ in range(3):
            await one.fetch(select, 4)
    await one.fetch(select, 4)
    [used] = place.seen().statements
    assert used == StatementUse("order", select, 3, used.total_seconds, 9, used.blocks_hit, 0)
    assert used.total_seconds > 0
    assert used.blocks_hit > 0


async def test_tables_are_counted_exactly(place: Place, one: asyncpg.Connection) -> None:
    await one.fetch("SELECT sum(n) FROM watched")
    await told(one)
    async with place.observed():
        for _ in range(3):
            await one.fetch("SELECT sum(n) FROM watched")
        await one.execute("SET enable_seqscan = off")
        await one.fetch("SELECT n FROM watched WHERE id = 1")
        await told(one)
    tables = place.seen().tables
    assert [table for table in tables if table.table == "watched"] == [TableUse("order", "watched", 3, 30, 1, 1, 10)]
    assert {table.database for table in tables} == {"order", "inventory"}
    assert {table.sequential_scans for table in tables if table.database == "inventory"} == {0}


async def told(connection: asyncpg.Connection) -> None:
    """Let the session tell the server now what it has done; by itself it would within a second."""
    await connection.execute("SELECT pg_stat_force_next_flush()")


async def test_metrics_are_scraped_from_the_start_to_the_end(place: Place, scraped: tuple[str, Scraped]) -> None:
    began = time.time()
    async with place.observed():
        at_start = len(scraped[1].accepted)
        assert at_start > 0
        await until(lambda: len(scraped[1].accepted) > at_start)
        before_end = len(scraped[1].accepted)
    scrapes = place.seen().scrapes
    assert len(scrapes) > before_end
    assert [timed.scrape.total("calls_total") for timed in scrapes] == list(range(1, len(scrapes) + 1))
    assert [timed.target for timed in scrapes] == ["some"] * len(scrapes)
    assert began < scrapes[0].at_seconds < scrapes[-1].at_seconds < time.time()
    assert all(timed.scrape.exemplars for timed in scrapes)
    assert {each.split(";")[0] for each in scraped[1].accepted} == {"application/openmetrics-text"}


async def test_scrapes_do_not_identify_the_process(place: Place) -> None:
    async with place.observed():
        pass
    written = (place.folder / "scrapes.jsonl").read_text()
    assert "calls_total" in written
    assert "_info" not in written
    assert "version" not in written


async def test_processes_are_read_with_postgres_among_them(place: Place, one: asyncpg.Connection) -> None:
    """The CPU of PostgreSQL is that of its sessions, of which one counts here."""
    session = psutil.Process(one.get_server_pid())
    async with place.observed():
        ended = time.process_time() + 0.2
        while time.process_time() < ended:
            pass
        ended = sum(session.cpu_times()[:2]) + 0.2
        while sum(session.cpu_times()[:2]) < ended:
            await one.execute("SELECT count(*) FROM generate_series(1, 100_000)")
    samples = place.seen().processes
    used = {}
    for name in ("some", "postgres"):
        own = [sample for sample in samples if sample.process == name]
        used[name] = own[-1].cpu_seconds - own[0].cpu_seconds
        assert own[0].wait_seconds is not None
        assert [sample.wait_seconds for sample in own] == sorted(sample.wait_seconds or 0 for sample in own)
    assert used["some"] > 0.15
    assert used["postgres"] > 0.15


async def test_a_second_observation_in_a_folder_replaces_the_first(place: Place) -> None:
    for _ in range(2):
        async with place.observed():
            pass
    assert len(place.seen().scrapes) == 2


async def test_a_scrape_that_fails_ends_the_block(place: Place, scraped: tuple[str, Scraped]) -> None:
    async def fail() -> None:
        scraped[1].status = 500

    assert "the metrics of some at 127" in await why_it_ended(place, fail())


async def test_a_scrape_that_is_not_answered_ends_the_block(
    place: Place, scraped: tuple[str, Scraped], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "SCRAPE_TIMEOUT_SECONDS", 0.2)

    async def fall_silent() -> None:
        scraped[1].answering.clear()

    assert "no answer in time" in await why_it_ended(place, fall_silent())


async def test_a_lost_database_ends_the_block(place: Place, admin: asyncpg.Connection) -> None:
    async def end_sessions() -> None:
        await admin.execute(f"SELECT pg_terminate_backend(pid) FROM ({OBSERVERS})")

    assert "the sessions of PostgreSQL" in await why_it_ended(place, end_sessions())


async def why_it_ended(place: Place, change: Coroutine[Any, Any, None]) -> str:
    """Observe until it fails after some change; give its one sentence. The task is cancelled no more."""
    with pytest.raises(ObserverError) as raised:
        await observe_for_ever(place, change)
    assert len(str(raised.value).splitlines()) == 1
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    return str(raised.value)


async def observe_for_ever(place: Place, change: Coroutine[Any, Any, None]) -> None:
    """Wait for what never comes, as an observed block."""
    async with asyncio.timeout(PATIENCE_SECONDS), place.observed():
        await change
        await asyncio.Event().wait()


async def test_a_processor_limit_is_recorded_as_that_of_a_container(place: Place, tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("nr_periods 10\nnr_throttled 4\nthrottled_usec 5\n")
    place = replace(place, limits={"postgres": ProcessorLimit(tmp_path, 0.25, 0.01)})
    async with place.observed():
        pass
    [use] = [each for each in measured(place.seen().scrapes) if each.scope is Scope.CONTAINER]
    assert (use.owner, use.limit) == ("postgres", 0.25)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"admin": {"some": "127.0.0.1:1"}}, "the metrics of some"),
        ({"admin_dsn": "postgresql://postgres@127.0.0.1:1/postgres"}, "PostgreSQL"),
        ({"postgres_pid": 4_194_305}, "processes"),
        ({"limits": {"postgres": ProcessorLimit(Path("/dev/null"), 0.1, 0.01)}}, "control groups"),
        ({"folder": Path("/dev/null/seen")}, "/dev/null/seen"),
    ],
)
async def test_an_unobservable_platform_is_one_plain_sentence(
    place: Place, change: dict[str, object], says: str
) -> None:
    with pytest.raises(ObserverError, match=says) as raised:
        async with replace(place, **change).observed():  # type: ignore[arg-type]  # fields of it
            pytest.fail("the block ran")
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("error", [LookupError("own"), ExceptionGroup("own", [LookupError()]), TimeoutError()])
async def test_an_error_of_the_block_passes_as_it_is(place: Place, error: Exception) -> None:
    cause = ValueError("why")
    with pytest.raises(type(error)) as raised:
        async with place.observed():
            raise error from cause
    assert raised.value is error
    assert error.__cause__ is cause


async def test_the_recorder_may_be_cancelled_at_any_await(place: Place, admin: asyncpg.Connection) -> None:
    """Nothing of it goes on then, and no session of it stays."""
    tasks, files = asyncio.all_tasks(), open_files()

    async def observe() -> None:
        async with place.observed():
            await asyncio.sleep(0.01)

    for wait in range(1, MOST):
        cancelled = await is_cancelled_at(wait, observe())
        assert asyncio.all_tasks() == tasks
        if not cancelled:
            break
    else:
        pytest.fail("it never ended by itself")
    assert wait > 20, "an observation that waits so seldom was not cancelled where it matters"
    assert open_files() == files
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await admin.fetch(OBSERVERS):
            await asyncio.sleep(0.02)


def open_files() -> set[str]:
    """Return the files that this process has open."""
    return {file.path for file in psutil.Process().open_files()}

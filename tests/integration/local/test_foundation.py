"""Faults of the foundation: PostgreSQL restarted, NATS killed and wiped."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import asyncpg
import nats
import pytest
import pytest_asyncio

from services.infra.messaging.nats_log import NatsLog
from services.local.platform.endpoints import Bus
from services.local.platform.foundation import Foundation
from services.local.platform.plan import MODULES, PlatformOptions
from services.local.processes.errors import LocalError
from services.local.servers import nats as nats_server
from services.local.servers.broker import Broker
from services.local.servers.postgres import EmbeddedPostgres
from services.local.servers.valkey import valkey_server_available
from tests.integration.local.conftest import STAND_IN, needs_nats
from tests.integration.local.traces import Marked
from tests.patience import PATIENCE_SECONDS
from tests.stack import programs

SUBJECT = "kept"
RECOVERY = "automatic recovery in progress"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def open_and_close(foundation: Foundation) -> None:
    """Yield the event log as a service opens it."""
    event_log = foundation.event_log
    log = await NatsLog.open(event_log.url, allow_unsafe_sync=event_log.allow_unsafe_sync)
    await log.close()


async def ask(dsn: str, question: str) -> object:
    """Return the single value of a query."""
    connection = await asyncpg.connect(dsn, timeout=PATIENCE_SECONDS)
    try:
        return await connection.fetchval(question, timeout=PATIENCE_SECONDS)
    finally:
        await connection.close(timeout=PATIENCE_SECONDS)


async def publish(url: str) -> int:
    """Publish one message to a stream, created if missing; return its number of messages."""
    client = await nats.connect(url, connect_timeout=PATIENCE_SECONDS)
    try:
        stream = client.jetstream()
        await stream.add_stream(name=SUBJECT, subjects=[SUBJECT])
        acknowledgement = await stream.publish(SUBJECT, b"one")
        return acknowledgement.seq
    finally:
        await client.close()


async def foundation_in(folder: Path, *, bus: Bus) -> AsyncIterator[Foundation]:
    """Yield a foundation whose services are stand-ins."""
    options = PlatformOptions(run_directory=folder, bus=bus, modules=dict.fromkeys(MODULES, STAND_IN))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLUMB_POSTGRES_DSN", raising=False)
        async with Foundation.start(options) as foundation:
            yield foundation


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def foundation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Foundation]:
    async for foundation in foundation_in(tmp_path_factory.mktemp("run"), bus="postgres"):
        yield foundation


@pytest.fixture
def postgres(foundation: Foundation) -> EmbeddedPostgres:
    assert foundation.postgres is not None
    return foundation.postgres


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def foundation_with_nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Foundation]:
    async for foundation in foundation_in(tmp_path_factory.mktemp("run"), bus="nats"):
        yield foundation


@pytest.fixture
def broker(foundation_with_nats: Foundation) -> Broker:
    assert foundation_with_nats.nats is not None
    return foundation_with_nats.nats


async def test_no_value_of_a_statement_is_in_the_log(foundation: Foundation, postgres: EmbeddedPostgres) -> None:
    """Neither of a slow one, nor of one that fails, nor of a row that a constraint refuses."""
    connection = await asyncpg.connect(postgres.admin_dsn, timeout=PATIENCE_SECONDS)
    try:
        await connection.execute("SET log_min_duration_statement = 0; SET log_min_error_statement = 'error'")
        await connection.execute("CREATE TEMP TABLE told (customer text CHECK (customer <> 'secret-refused'))")
        await connection.fetchval("SELECT $1::text AS slow", "secret-slow")
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("INSERT INTO told VALUES ($1) /* refused */", "secret-refused")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.fetchval("SELECT 1 / length($1) - length($2)", "", "secret-failed")
    finally:
        await connection.close(timeout=PATIENCE_SECONDS)
    (log,) = foundation.options.logs_directory.glob("postgres*.log")
    text = log.read_text(encoding="utf-8").replace("customer <> 'secret-refused'", "")
    assert "AS slow" in text
    assert "/* refused */" in text
    assert "secret-" not in text


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_a_restart_keeps_what_was_committed_and_the_address(
    foundation: Foundation, postgres: EmbeddedPostgres, how: Literal["fast", "immediate"]
) -> None:
    order = foundation.databases["order"]
    await ask(order, f"CREATE TABLE {how} (id int)")
    before = await ask(order, "SELECT pg_postmaster_start_time()")
    await postgres.restart(how=how)
    assert await ask(order, f"SELECT count(*) FROM {how}") == 0
    assert await ask(order, "SELECT pg_postmaster_start_time()") != before


@pytest.mark.parametrize(("how", "recoveries"), [("fast", 0), ("immediate", 1)])
async def test_after_an_immediate_end_alone_the_server_has_to_recover(
    postgres: EmbeddedPostgres, how: Literal["fast", "immediate"], recoveries: int
) -> None:
    log_path = postgres.process.command.log_path
    before = log_path.read_text().count(RECOVERY)
    await postgres.restart(how=how)
    assert log_path.read_text().count(RECOVERY) - before == recoveries


async def test_a_restart_is_no_failure(foundation: Foundation, postgres: EmbeddedPostgres) -> None:
    failing = asyncio.ensure_future(foundation.watch.failure())
    await foundation.watch.unless_failure(postgres.restart(how="immediate"))
    await foundation.watch.unless_failure(postgres.restart(how="fast"))
    assert not failing.done()
    failing.cancel()


@pytest.mark.full
async def test_a_restarted_server_is_missed_when_it_dies(options: PlatformOptions, marked_here: Marked) -> None:
    async with Foundation.start(options) as foundation:
        assert foundation.postgres is not None
        await foundation.postgres.restart(how="fast")
        pid = foundation.postgres.process.pid
        os.kill(pid, signal.SIGKILL)
        failure = await asyncio.wait_for(foundation.watch.failure(), PATIENCE_SECONDS)
    assert f"postgres (process {pid}) was killed by SIGKILL" in str(failure)
    assert marked_here.leftovers() == []


@needs_nats
async def test_events_go_to_nats(foundation_with_nats: Foundation, broker: Broker) -> None:
    assert foundation_with_nats.event_log.url == broker.url
    await open_and_close(foundation_with_nats)


@pytest.mark.full
async def test_the_services_take_a_newer_nats_which_syncs_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours is configured to, but no server reports that to its clients."""
    monkeypatch.setattr(nats_server, "_find_binary", programs.nats_server)
    async for foundation in foundation_in(tmp_path, bus="nats"):
        assert foundation.nats is not None
        assert foundation.nats.syncs_always
        await open_and_close(foundation)


@needs_nats
async def test_nats_killed_comes_back_at_its_address_with_its_streams(
    foundation_with_nats: Foundation, broker: Broker
) -> None:
    url, before = broker.url, await publish(broker.url)
    await foundation_with_nats.watch.unless_failure(broker.kill_and_restart())
    assert broker.url == url
    assert await publish(url) == before + 1


@needs_nats
async def test_wiped_nats_restarts_at_its_address_without_streams(
    foundation_with_nats: Foundation, broker: Broker
) -> None:
    url = broker.url
    await publish(url)
    await foundation_with_nats.watch.unless_failure(broker.wipe())
    assert broker.url == url
    assert await publish(url) == 1


@needs_nats
async def test_nats_wiped_twice_at_once_restarts_once(foundation_with_nats: Foundation, broker: Broker) -> None:
    """Neither finds a server half way down, or a folder half gone."""

    async def wipe_twice() -> None:
        await asyncio.gather(broker.wipe(), broker.wipe())

    async with asyncio.timeout(PATIENCE_SECONDS):
        await foundation_with_nats.watch.unless_failure(wipe_twice())
    assert await publish(broker.url) == 1


@pytest.mark.full
async def test_a_restarted_server_is_still_stopped_after_the_services(
    options: PlatformOptions, marked_here: Marked
) -> None:
    said: list[str] = []
    async with Foundation.start(replace(options, bus="nats"), progress=said.append) as foundation:
        assert foundation.nats is not None
        assert foundation.postgres is not None
        await foundation.nats.kill_and_restart()
        await foundation.postgres.restart(how="fast")
        said.clear()
    cache = ["stopping valkey-server"] * valkey_server_available()
    assert said == ["stopping nats-server", *cache, "stopping postgres", "stopping receiver"]
    assert marked_here.leftovers() == []


@pytest.mark.usefixtures("marked_here")
async def test_a_missing_nats_server_is_an_error_before_any_start(
    options: PlatformOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.local.servers.nats.SEARCHED", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    with pytest.raises(LocalError, match=r"nats-server was not found\. Install it .*--bus postgres"):
        async with Foundation.start(replace(options, bus="nats"), progress=said.append):
            pytest.fail("it started")
    assert said == []

"""Platform with a real PostgreSQL and stand-ins for the services."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from services.local.platform import launcher
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform
from services.local.processes.errors import FolderUnusable, LocalError, ProcessFailed
from services.local.servers.valkey import valkey_server_available
from tests.full import in_full
from tests.integration.local.conftest import marked_environment, stand_ins
from tests.integration.local.traces import Marked

pytestmark = pytest.mark.usefixtures("marked_here")


@dataclass(frozen=True, slots=True)
class Life:
    """Observations of one platform from start to end."""

    said_at_start: list[str]
    said_at_end: list[str]
    processes: int
    traces_at_start: list[Path]
    leftovers: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Start and end a platform in a run folder that was used before."""
    options = stand_ins(tmp_path_factory.mktemp("life"))
    options.traces_directory.mkdir(parents=True)
    (options.traces_directory / "traces.jsonl").write_text("old")
    marked = Marked(temporary=tmp_path_factory.mktemp("temporary"))
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        marked_environment(marked, patch)
        async with Platform.start(options, progress=said.append):
            said_at_start, processes = said.copy(), len(marked.processes())
            traces = list(options.traces_directory.iterdir())
        return Life(said_at_start, said[len(said_at_start) :], processes, traces, marked.leftovers())


def log_of(options: PlatformOptions, name: str) -> str:
    """Return the output of a process."""
    return (options.logs_directory / f"{name}.log").read_text()


async def failing_start(options: PlatformOptions) -> str:
    """Return the message of a start that fails."""
    with pytest.raises(LocalError) as failed:
        async with Platform.start(options):
            pytest.fail("it started")
    return str(failed.value)


def test_an_end_leaves_no_process_and_no_folder(life: Life) -> None:
    assert life.processes > 10
    assert life.leftovers == []


@pytest.mark.full
async def test_an_error_of_the_user_leaves_nothing_either(options: PlatformOptions, marked_here: Marked) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Platform.start(options):
            raise ZeroDivisionError
    assert marked_here.leftovers() == []


def test_it_stops_in_order_and_the_database_last(life: Life) -> None:
    cache = ["stopping valkey-server"] * valkey_server_available()
    services = ["stopping notification", "stopping order", "stopping inventory"]
    assert life.said_at_end == [*services, *cache, "stopping postgres", "stopping receiver"]


async def test_a_process_that_had_to_be_killed_is_reported(options: PlatformOptions) -> None:
    said: list[str] = []
    stubborn = replace(options, environment={"order": {"STAND_IN_FAULT": "stubborn"}}, stop_timeout_seconds=0.2)
    async with Platform.start(stubborn, progress=said.append):
        pass
    assert "order did not stop in time and was killed" in said


@pytest.mark.parametrize("name", ["order", *in_full("receiver", "inventory", "notification", "postgres")])
async def test_a_killed_child_is_named(name: str, options: PlatformOptions, marked_here: Marked) -> None:
    async with Platform.start(options) as platform:
        pids: dict[str, int | None] = {**platform.endpoints.service_pids, "postgres": platform.endpoints.postgres_pid}
        pid = pids[name]
        assert pid is not None
        something_else = asyncio.create_task(platform.unless_failure(platform.failure()))
        os.kill(pid, signal.SIGKILL)
        failure = await platform.failure()
        with pytest.raises(ProcessFailed, match=name):
            await something_else
    assert f"{name} (process {pid}) was killed by SIGKILL. Its last lines, from" in str(failure)
    assert marked_here.leftovers() == []


async def test_a_service_that_fails_at_once_is_quoted(options: PlatformOptions, marked_here: Marked) -> None:
    message = await failing_start(replace(options, environment={"inventory": {"STAND_IN_FAULT": "exit"}}))
    assert "inventory-migrate" in message
    assert "ended with exit status 7" in message
    assert "cannot go on: the stand-in was told to fail" in message
    assert marked_here.leftovers() == []


@pytest.mark.full
async def test_a_module_that_does_not_exist_is_quoted(options: PlatformOptions) -> None:
    message = await failing_start(replace(options, modules={**options.modules, "order": "no.such.module"}))
    assert "No module named" in message


async def test_a_run_folder_below_a_file_is_named(options: PlatformOptions, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnusable, match=r"cannot write in .*file/run: .* Start in a folder that you may write"):
        async with Platform.start(replace(options, run_directory=tmp_path / "file" / "run")):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a folder that not even root may write")
async def test_a_folder_that_may_not_be_written_is_named(options: PlatformOptions) -> None:
    message = await failing_start(replace(options, run_directory=Path("/proc/run")))
    assert message.startswith("cannot write in /proc/run: ")


async def test_a_temporary_folder_that_may_not_be_written_is_named(
    options: PlatformOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert "Set TMPDIR to a writable folder" in await failing_start(options)


@pytest.mark.full
async def test_two_at_once_do_not_collide(options: PlatformOptions, tmp_path: Path) -> None:
    async with (
        Platform.start(options) as first,
        Platform.start(replace(options, run_directory=tmp_path / "other")) as second,
    ):
        assert first.endpoints.databases["order"] != second.endpoints.databases["order"]
        assert first.endpoints.postgres_pid != second.endpoints.postgres_pid


def test_a_start_from_a_run_folder_used_before_begins_afresh(life: Life) -> None:
    assert life.traces_at_start == []


async def test_a_slow_start_is_reported_and_given_up(
    options: PlatformOptions, marked_here: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "PROGRESS_SECONDS", 0.2)
    hanging = replace(options, environment={"order": {"STAND_IN_FAULT": "hang"}})
    message, said = "", list[str]()
    # On a slow machine another one may take longer than a short limit.
    for limit_seconds in (2, 10, 50):
        said.clear()
        with pytest.raises(ProcessFailed, match=f"was not ready within {limit_seconds} s") as failed:
            async with Platform.start(replace(hanging, start_timeout_seconds=limit_seconds), progress=said.append):
                pass
        message = str(failed.value)
        if message.startswith("order "):
            break
    assert message.startswith("order ")
    assert any(line.startswith("waiting for order, process ") and "stand-in ['serve']" in line for line in said)
    assert marked_here.leftovers() == []


def test_the_services_start_side_by_side(life: Life) -> None:
    said = life.said_at_start
    starts = [said.index(f"starting {name}") for name in ("inventory", "order", "notification")]
    assert max(starts) < said.index("inventory is ready")

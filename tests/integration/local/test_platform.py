"""Platform with a real PostgreSQL and stand-ins for the services."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from services.local.platform import launcher
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform
from services.local.processes.errors import FolderUnusable, LocalError, ProcessFailed
from services.local.servers.valkey import valkey_server_available
from tests.integration.local.traces import Marked

pytestmark = pytest.mark.usefixtures("marked_here")


def log_of(options: PlatformOptions, name: str) -> str:
    """Return the output of a process."""
    return (options.logs_directory / f"{name}.log").read_text()


async def failing_start(options: PlatformOptions) -> str:
    """Return the message of a start that fails."""
    with pytest.raises(LocalError) as failed:
        async with Platform.start(options):
            pytest.fail("it started")
    return str(failed.value)


async def test_the_monolith_is_one_process_with_every_context(options: PlatformOptions) -> None:
    async with Platform.start(replace(options, mode="monolith")) as platform:
        assert sorted(platform.endpoints.service_pids) == ["monolith", "receiver"]
        assert list(platform.endpoints.admin) == ["monolith"]


async def test_an_end_leaves_no_process_and_no_folder(options: PlatformOptions, marked_here: Marked) -> None:
    async with Platform.start(options):
        assert len(marked_here.processes()) > 10
    assert marked_here.leftovers() == []


async def test_an_error_of_the_user_leaves_nothing_either(options: PlatformOptions, marked_here: Marked) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Platform.start(options):
            raise ZeroDivisionError
    assert marked_here.leftovers() == []


async def test_it_stops_in_order_and_the_database_last(options: PlatformOptions) -> None:
    said: list[str] = []
    async with Platform.start(options, progress=said.append):
        said.clear()
    cache = ["stopping valkey-server"] * valkey_server_available()
    services = ["stopping notification", "stopping order", "stopping inventory"]
    assert said == [*services, *cache, "stopping postgres", "stopping receiver"]


async def test_a_process_that_had_to_be_killed_is_reported(options: PlatformOptions) -> None:
    said: list[str] = []
    stubborn = replace(options, environment={"order": {"STAND_IN_FAULT": "stubborn"}}, stop_timeout_seconds=0.2)
    async with Platform.start(stubborn, progress=said.append):
        pass
    assert "order did not stop in time and was killed" in said


@pytest.mark.parametrize("name", ["receiver", "inventory", "order", "notification", "postgres"])
async def test_a_killed_child_is_named(name: str, options: PlatformOptions, marked_here: Marked) -> None:
    async with Platform.start(options) as platform:
        pids: dict[str, int | None] = {**platform.endpoints.service_pids, "postgres": platform.endpoints.postgres_pid}
        pid = pids[name]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        failure = await platform.failure()
    assert f"{name} (process {pid}) was killed by SIGKILL. Its last lines, from" in str(failure)
    assert marked_here.leftovers() == []


async def test_a_killed_child_cancels_the_awaited_work(options: PlatformOptions) -> None:
    async with Platform.start(options) as platform:
        os.kill(platform.endpoints.service_pids["inventory"], signal.SIGKILL)
        with pytest.raises(ProcessFailed, match="inventory"):
            await platform.unless_failure(platform.failure())


async def test_a_service_that_fails_at_once_is_quoted(options: PlatformOptions, marked_here: Marked) -> None:
    message = await failing_start(replace(options, environment={"inventory": {"STAND_IN_FAULT": "exit"}}))
    assert "inventory-migrate" in message
    assert "ended with exit status 7" in message
    assert "cannot go on: the stand-in was told to fail" in message
    assert marked_here.leftovers() == []


async def test_a_service_that_is_never_ready_is_given_up(options: PlatformOptions, marked_here: Marked) -> None:
    hanging = replace(options, environment={"order": {"STAND_IN_FAULT": "hang"}}, start_timeout_seconds=1.0)
    assert "order was not ready within 1 s" in await failing_start(hanging)
    assert marked_here.leftovers() == []


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


async def test_two_at_once_do_not_collide(options: PlatformOptions, tmp_path: Path) -> None:
    async with (
        Platform.start(options) as first,
        Platform.start(replace(options, run_directory=tmp_path / "other")) as second,
    ):
        assert first.endpoints.databases["order"] != second.endpoints.databases["order"]
        assert first.endpoints.postgres_pid != second.endpoints.postgres_pid


async def test_a_start_from_a_run_folder_used_before_begins_afresh(options: PlatformOptions) -> None:
    options.traces_directory.mkdir(parents=True)
    (options.traces_directory / "traces.jsonl").write_text("old")
    async with Platform.start(options):
        assert list(options.traces_directory.iterdir()) == []


async def test_a_slow_start_is_reported_with_its_last_log_line(
    options: PlatformOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "PROGRESS_SECONDS", 0.2)
    said: list[str] = []
    hanging = replace(options, environment={"order": {"STAND_IN_FAULT": "hang"}}, start_timeout_seconds=2.0)
    with pytest.raises(ProcessFailed, match="order was not ready"):
        async with Platform.start(hanging, progress=said.append):
            pass
    assert any(line.startswith("waiting for order, process ") and "stand-in ['serve']" in line for line in said)


async def test_the_services_start_side_by_side(options: PlatformOptions) -> None:
    said: list[str] = []
    async with Platform.start(options, progress=said.append):
        pass
    starts = [said.index(f"starting {name}") for name in ("inventory", "order", "notification")]
    assert max(starts) < said.index("inventory is ready")

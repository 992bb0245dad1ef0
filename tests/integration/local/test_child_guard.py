"""A guarded child ends when it is stopped, when its guard dies, and when its supervisor dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from services.local.processes.errors import ProcessFailed
from services.local.processes.guarded_process import Command, Exit, GuardedProcess
from services.local.processes.scratch_folder import Scratch
from tests.integration.local.traces import Marked
from tests.patience import PATIENCE_SECONDS

SLEEP = "import time; print('asleep', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP
# Two grandchildren: one in a session of its own that ignores SIGTERM, one that is left by a parent that ended.
PARENT = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], start_new_session=True)
subprocess.run([sys.executable, "-c", "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}])"])
{SLEEP}
"""
SUPERVISOR = """
import asyncio, os, sys
from pathlib import Path
from services.local.processes.guarded_process import Command, GuardedProcess
from services.local.processes.scratch_folder import Scratch

async def main():
    scratch = Scratch()
    command = Command("child", (sys.executable, "-c", sys.argv[1]), Path(sys.argv[2]), dict(os.environ))
    process = GuardedProcess(command, scratch=scratch)
    await process.started()
    print("started", flush=True)
    await process.exited()

asyncio.run(main())
"""


def python(code: str, *, log_path: Path, stop_seconds: float = 15.0) -> Command:
    """Return a command that runs `code`."""
    return Command(
        name="child",
        arguments=(sys.executable, "-c", code),
        log_path=log_path,
        environment=dict(os.environ),
        stop=(("SIGTERM", stop_seconds), ("SIGKILL", 5.0)),
    )


async def running(command: Command, scratch: Scratch) -> GuardedProcess:
    """Start a process, and return it once it has printed that it sleeps."""
    process = GuardedProcess(command, scratch=scratch)
    await process.started()
    while "asleep" not in command.log_path.read_text():
        assert not process.ended, process.tail()
        os.sched_yield()
    return process


async def test_a_child_is_stopped_by_sigterm(scratch: Scratch, tmp_path: Path) -> None:
    process = await running(python(SLEEP, log_path=tmp_path / "log"), scratch)
    assert await process.stop() == Exit(status=-signal.SIGTERM)


async def test_stopping_twice_is_harmless(scratch: Scratch, tmp_path: Path) -> None:
    process = await running(python(SLEEP, log_path=tmp_path / "log"), scratch)
    assert await process.stop() == await process.stop()


async def test_a_child_that_does_not_stop_is_killed_and_reported(scratch: Scratch, tmp_path: Path) -> None:
    process = await running(python(STUBBORN, log_path=tmp_path / "log", stop_seconds=0.1), scratch)
    assert await process.stop() == Exit(status=-signal.SIGKILL, killed=True)


async def test_the_exit_status_of_a_child_is_known(scratch: Scratch, tmp_path: Path) -> None:
    process = GuardedProcess(python("raise SystemExit(7)", log_path=tmp_path / "log"), scratch=scratch)
    assert await process.exited() == Exit(status=7)
    await process.stop()


async def test_output_and_errors_of_a_child_are_in_its_log(scratch: Scratch, tmp_path: Path) -> None:
    code = "import os; os.write(1, b'out\\n'); os.write(2, b'error\\n')"
    process = GuardedProcess(python(code, log_path=tmp_path / "logs" / "log"), scratch=scratch)
    await process.exited()
    await process.stop()
    assert (tmp_path / "logs" / "log").read_text() == "out\nerror\n"


async def test_a_program_that_does_not_exist_is_named(scratch: Scratch, tmp_path: Path) -> None:
    command = Command("child", ("/no/such/program",), tmp_path / "log", {})
    process = GuardedProcess(command, scratch=scratch)
    result = await process.exited()
    assert "cannot run /no/such/program: No such file" in str(process.failure(result))
    await process.stop()


async def test_a_killed_child_is_reported_with_signal_and_last_lines(scratch: Scratch, tmp_path: Path) -> None:
    process = await running(python(SLEEP, log_path=tmp_path / "log"), scratch)
    os.kill(process.pid, signal.SIGKILL)
    failure = process.failure(await process.exited())
    assert isinstance(failure, ProcessFailed)
    assert f"child (process {process.pid}) was killed by SIGKILL" in str(failure)
    assert "  asleep" in str(failure)
    await process.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
async def test_a_child_dies_with_its_guard(scratch: Scratch, tmp_path: Path) -> None:
    process = await running(python(SLEEP, log_path=tmp_path / "log"), scratch)
    child = psutil.Process(process.pid)
    child.parent().kill()  # type: ignore[union-attr]  # A guarded process has a parent.
    await process.exited()
    _, alive = psutil.wait_procs([child], timeout=PATIENCE_SECONDS)
    assert alive == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands a child's orphans to its guard")
async def test_grandchildren_end_with_their_parent(scratch: Scratch, marked_here: Marked, tmp_path: Path) -> None:
    process = await running(python(PARENT, log_path=tmp_path / "log"), scratch)
    await process.stop()
    assert marked_here.leftovers() == []


@pytest.mark.parametrize("code", [SLEEP, PARENT], ids=["child", "child with children"])
def test_a_killed_supervisor_leaves_no_process_and_no_folder(code: str, marked: Marked, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, code, str(tmp_path / "log")],
        env=marked.environment(),
        stdout=subprocess.PIPE,
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"started\n"
        supervisor.kill()
    assert marked.leftovers() == []


def test_a_guard_that_is_terminated_stops_its_child(marked: Marked, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, SLEEP, str(tmp_path / "log")],
        env=marked.environment(),
        stdout=subprocess.PIPE,
    ) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        (guard,) = [process for process in marked.processes() if any("guard.py" in word for word in process.cmdline())]
        guard.terminate()
        # The supervisor ends once it hears that the child did.
        supervisor.wait(timeout=PATIENCE_SECONDS)
    assert marked.leftovers() == []

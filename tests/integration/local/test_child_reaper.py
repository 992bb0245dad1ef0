"""A child process ends when it is stopped, when its reaper dies, and when its supervisor dies.

Its reaper is a program of its own, or a fork server.
"""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from services.local.processes.child_process import ChildProcess, Command, Exit
from services.local.processes.errors import ProcessFailed
from services.local.processes.preloaded_program import PreloadedProgram
from services.local.processes.scratch_folder import Scratch
from tests.integration.local.traces import Marked
from tests.patience import PATIENCE_SECONDS

Program = PreloadedProgram | None
CODED = "tests.integration.local.coded"
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
import asyncio, sys
from pathlib import Path
from services.local.processes.child_process import ChildProcess
from services.local.processes.preloaded_program import PreloadedProgram
from services.local.processes.scratch_folder import Scratch
from tests.integration.local.test_child_reaper import CODED, python

async def main():
    code, folder, reaper = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    scratch = Scratch()
    server = {"scratch": scratch, "log_path": folder / "server.log"}
    program = PreloadedProgram(CODED, **server) if reaper == "fork_server" else None
    process = ChildProcess(python(code, log_path=folder / "log"), scratch=scratch, program=program)
    await process.started()
    print("started", flush=True)
    await process.exited()

asyncio.run(main())
"""


def python(code: str, *, log_path: Path, stop_seconds: float = 15.0) -> Command:
    """Return a command that runs `code`."""
    return Command(
        name="child",
        arguments=(sys.executable, "-m", CODED),
        log_path=log_path,
        environment={**os.environ, "CODE": code},
        stop=(("SIGTERM", stop_seconds), ("SIGKILL", 5.0)),
    )


async def running(command: Command, scratch: Scratch, program: Program) -> ChildProcess:
    """Start a process, and return it once it has printed that it sleeps."""
    process = ChildProcess(command, scratch=scratch, program=program)
    await process.started()
    while "asleep" not in command.log_path.read_text():
        assert not process.ended, process.tail()
        os.sched_yield()
    return process


@pytest.fixture(params=["child_reaper", "fork_server"])
async def program(request: pytest.FixtureRequest, scratch: Scratch, tmp_path: Path) -> AsyncIterator[Program]:
    """Yield the program with a fork server, and None for a reaper of its own."""
    if request.param == "child_reaper":
        yield None
        return
    program = PreloadedProgram(CODED, scratch=scratch, log_path=tmp_path / "server.log")
    yield program
    await program.close()


async def test_a_child_is_stopped_by_sigterm(scratch: Scratch, program: Program, tmp_path: Path) -> None:
    process = await running(python(SLEEP, log_path=tmp_path / "log"), scratch, program)
    assert await process.stop() == Exit(status=-signal.SIGTERM)


async def test_stopping_twice_is_harmless(scratch: Scratch, program: Program, tmp_path: Path) -> None:
    process = await running(python(SLEEP, log_path=tmp_path / "log"), scratch, program)
    assert await process.stop() == await process.stop()


async def test_a_child_that_does_not_stop_is_killed_and_reported(
    scratch: Scratch, program: Program, tmp_path: Path
) -> None:
    process = await running(python(STUBBORN, log_path=tmp_path / "log", stop_seconds=0.1), scratch, program)
    assert await process.stop() == Exit(status=-signal.SIGKILL, killed=True)


async def test_the_exit_status_of_a_child_is_known(scratch: Scratch, program: Program, tmp_path: Path) -> None:
    process = ChildProcess(python("raise SystemExit(7)", log_path=tmp_path / "log"), scratch=scratch, program=program)
    assert await process.exited() == Exit(status=7)
    await process.stop()


async def test_output_and_errors_of_a_child_are_in_its_log(scratch: Scratch, program: Program, tmp_path: Path) -> None:
    code = "import os; os.write(1, b'out\\n'); os.write(2, b'error\\n')"
    process = ChildProcess(python(code, log_path=tmp_path / "logs" / "log"), scratch=scratch, program=program)
    await process.exited()
    await process.stop()
    assert (tmp_path / "logs" / "log").read_text() == "out\nerror\n"


async def test_a_program_that_does_not_exist_is_named(scratch: Scratch, tmp_path: Path) -> None:
    command = Command("child", ("/no/such/program",), tmp_path / "log", {})
    process = ChildProcess(command, scratch=scratch)
    result = await process.exited()
    assert "cannot run /no/such/program: No such file" in str(process.failure(result))
    await process.stop()


async def test_a_killed_child_is_reported_with_signal_and_last_lines(
    scratch: Scratch, program: Program, tmp_path: Path
) -> None:
    process = await running(python(SLEEP, log_path=tmp_path / "log"), scratch, program)
    os.kill(process.pid, signal.SIGKILL)
    failure = process.failure(await process.exited())
    assert isinstance(failure, ProcessFailed)
    assert f"child (process {process.pid}) was killed by SIGKILL" in str(failure)
    assert "  asleep" in str(failure)
    await process.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
async def test_a_child_dies_with_its_reaper(scratch: Scratch, program: Program, tmp_path: Path) -> None:
    process = await running(python(SLEEP, log_path=tmp_path / "log"), scratch, program)
    child = psutil.Process(process.pid)
    child.parent().kill()  # type: ignore[union-attr]  # Its reaper is its parent.
    await process.exited()
    _, alive = psutil.wait_procs([child], timeout=PATIENCE_SECONDS)
    assert alive == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands a child's orphans to its reaper")
async def test_grandchildren_end_with_their_parent(
    scratch: Scratch, program: Program, marked_here: Marked, tmp_path: Path
) -> None:
    process = await running(python(PARENT, log_path=tmp_path / "log"), scratch, program)
    await process.stop()
    assert marked_here.leftovers() == []


@pytest.mark.parametrize("reaper", ["child_reaper", "fork_server"])
@pytest.mark.parametrize("code", [SLEEP, PARENT], ids=["child", "child with children"])
def test_a_killed_supervisor_leaves_no_process_and_no_folder(
    code: str, reaper: str, marked: Marked, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, code, str(tmp_path), reaper],
        env=marked.environment(),
        stdout=subprocess.PIPE,
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"started\n"
        supervisor.kill()
    assert marked.leftovers() == []


@pytest.mark.parametrize("reaper", ["child_reaper", "fork_server"])
def test_a_reaper_that_is_terminated_stops_its_child(reaper: str, marked: Marked, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, SLEEP, str(tmp_path), reaper],
        env=marked.environment(),
        stdout=subprocess.PIPE,
    ) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        reapers = [process for process in marked.processes() if any(reaper in word for word in process.cmdline())]
        # A fork server's child has its command line too, and is younger.
        min(reapers, key=lambda process: process.create_time()).terminate()
        # The supervisor ends once it hears that the child did.
        supervisor.wait(timeout=PATIENCE_SECONDS)
    assert marked.leftovers() == []


@pytest.fixture
async def preloaded(scratch: Scratch, tmp_path: Path) -> AsyncIterator[PreloadedProgram]:
    """Yield the program with a fork server."""
    program = PreloadedProgram(CODED, scratch=scratch, log_path=tmp_path / "server.log")
    yield program
    await program.close()


async def test_a_fork_server_starts_a_process_again_and_again(
    scratch: Scratch, preloaded: PreloadedProgram, tmp_path: Path
) -> None:
    for status in (0, 3, 0):
        command = python(f"raise SystemExit({status})", log_path=tmp_path / "log")
        process = ChildProcess(command, scratch=scratch, program=preloaded)
        assert await process.exited() == Exit(status=status)


async def test_a_forked_process_is_like_a_new_one(
    scratch: Scratch, preloaded: PreloadedProgram, tmp_path: Path
) -> None:
    """A pipe whose reader has ended is an error of the write, not the end of the process."""
    code = """
import os, signal, sys
print(sys.argv[1:], os.read(0, 1), os.getpid() == os.getsid(0), len(os.listdir("/dev/fd")))
print(signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN, signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
print(signal.pthread_sigmask(signal.SIG_BLOCK, []) == set(), sorted(os.environ) == ["CODE"])
"""
    command = replace(python(code, log_path=tmp_path / "log"), environment={"CODE": code})
    process = ChildProcess(command, scratch=scratch, program=preloaded)
    assert await process.exited() == Exit(status=0), process.tail()
    assert command.log_path.read_text().split("\n") == [
        "[] b'' True 5",  # standard ones, the lock of the run, and the folder that is listed
        "True True",
        "True True",
        "",
    ]


async def test_a_program_that_cannot_be_imported_says_why(scratch: Scratch, tmp_path: Path) -> None:
    program = PreloadedProgram("no_such_program", scratch=scratch, log_path=tmp_path / "log")
    process = ChildProcess(python("", log_path=tmp_path / "log"), scratch=scratch, program=program)
    with pytest.raises(ProcessFailed, match="No module named 'no_such_program'"):
        await process.started()
    await program.close()

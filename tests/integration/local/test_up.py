"""`plumb up` ends cleanly at any moment and by any signal, and prints why it cannot start."""

import contextlib
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from services.local.platform.endpoints import Bus, Endpoints, newest_running
from services.local.processes.errors import PortTaken
from services.local.servers.ports import documented_ports, local_address
from services.local.servers.valkey import valkey_server_available
from tests.full import in_full
from tests.integration.local.conftest import needs_nats
from tests.integration.local.traces import Marked
from tests.patience import PATIENCE_SECONDS

READY = "Ctrl-C stops everything."
# Below those that Linux gives to the clients of the tests beside us, which would take one that was free.
PORT_BASES = range(10_000, 32_000, 10)


# Moments in each part of the start, by the line printed when it begins; `make test` has one for each way to end.
FOUNDATION, SERVICES = "PostgreSQL answers", "starting order"
REST = (
    *in_full("starting PostgreSQL", "starting receiver", "starting inventory", "starting notification"),
    *(in_full("starting Valkey", "Valkey answers") if valkey_server_available() else ()),
)


@pytest.fixture(autouse=True)
def no_given_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMB_POSTGRES_DSN", raising=False)


@pytest.fixture
def port_base() -> int:
    """Return the first of nine free ports in a row."""
    while True:
        base = random.choice(PORT_BASES)
        with contextlib.suppress(PortTaken):
            documented_ports(base)
            return base


@contextlib.contextmanager
def up(
    port_base: int, marked: Marked, folder: Path, *, bus: Bus = "postgres", stdout: IO[str] | int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """`plumb up` as a child; killed should the test fail."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.local.up_with_stand_ins", str(port_base), str(folder), bus],
        env=marked.environment(),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read the output up to the line with these words."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    assert process.stderr is not None
    pytest.fail(f"it never said {words!r}: {process.stderr.read()}")


def wait_until_it_runs(process: subprocess.Popen[str], addresses: Path) -> None:
    """Wait for the file that it writes when it runs."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not addresses.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, *in_full(signal.SIGINT, signal.SIGHUP)])
def test_readers_find_it_until_a_signal_ends_it_with_success(
    number: signal.Signals, port_base: int, marked: Marked, tmp_path: Path
) -> None:
    with up(port_base, marked, tmp_path / "up") as process:
        read_until(process, READY)
        found = newest_running(tmp_path / "up")
        assert found is not None
        assert found.supervisor_pid == process.pid
        assert stat.S_IMODE((tmp_path / "up" / f"{port_base}.json").stat().st_mode) == 0o600
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE_SECONDS) == 0
    assert not (tmp_path / "up" / f"{port_base}.json").exists()
    assert marked.leftovers() == []


@pytest.mark.full
def test_it_continues_when_its_output_is_not_read(port_base: int, marked: Marked, tmp_path: Path) -> None:
    """As `plumb up | head -1`: the addresses are in their file."""
    with up(port_base, marked, tmp_path / "up") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        wait_until_it_runs(process, tmp_path / "up" / f"{port_base}.json")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_SECONDS) == 0
    assert marked.leftovers() == []


@pytest.mark.full
def test_it_continues_when_standard_output_is_full(port_base: int, marked: Marked, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full, up(port_base, marked, tmp_path / "up", stdout=full) as process:
        wait_until_it_runs(process, tmp_path / "up" / f"{port_base}.json")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_SECONDS) == 0
    assert marked.leftovers() == []


@pytest.mark.parametrize("moment", [SERVICES, *in_full(FOUNDATION), *REST])
def test_interrupted_while_it_starts_it_leaves_nothing(
    moment: str, port_base: int, marked: Marked, tmp_path: Path
) -> None:
    with up(port_base, marked, tmp_path / "up") as process:
        read_until(process, moment)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_SECONDS) == 130
    assert marked.leftovers() == []


@pytest.mark.parametrize("moment", [FOUNDATION, *in_full(SERVICES, READY), *REST])
def test_killed_at_any_moment_it_leaves_nothing(moment: str, port_base: int, marked: Marked, tmp_path: Path) -> None:
    with up(port_base, marked, tmp_path / "up") as process:
        read_until(process, moment)
        process.kill()
    assert marked.leftovers() == []


@needs_nats
@pytest.mark.full
@pytest.mark.parametrize("moment", ["NATS answers", "starting NATS"])
def test_interrupted_while_nats_starts_it_leaves_nothing(
    moment: str, port_base: int, marked: Marked, tmp_path: Path
) -> None:
    with up(port_base, marked, tmp_path / "up", bus="nats") as process:
        read_until(process, moment)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_SECONDS) == 130
    assert marked.leftovers() == []


@needs_nats
@pytest.mark.full
def test_killed_with_nats_it_leaves_nothing(port_base: int, marked: Marked, tmp_path: Path) -> None:
    with up(port_base, marked, tmp_path / "up", bus="nats") as process:
        read_until(process, READY)
        process.kill()
    assert marked.leftovers() == []


@pytest.mark.full
def test_a_second_interruption_does_not_break_the_clearing_up(port_base: int, marked: Marked, tmp_path: Path) -> None:
    with up(port_base, marked, tmp_path / "up") as process:
        read_until(process, READY)
        process.send_signal(signal.SIGINT)
        read_until(process, "stopping order")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_SECONDS) == 0
    assert marked.leftovers() == []


@pytest.mark.full
def test_an_interruption_of_the_whole_terminal_leaves_nothing(port_base: int, marked: Marked, tmp_path: Path) -> None:
    """Ctrl-C reaches every process of the terminal's foreground group, not the supervisor alone."""
    with up(port_base, marked, tmp_path / "up") as process:
        read_until(process, "PostgreSQL answers")
        for member in [child for child in marked.processes() if os.getpgid(child.pid) == os.getpgid(process.pid)]:
            os.kill(member.pid, signal.SIGINT)
        assert process.wait(timeout=PATIENCE_SECONDS) == 130
    assert marked.leftovers() == []


@pytest.mark.full
def test_a_killed_child_ends_it_with_a_plain_message(port_base: int, marked: Marked, tmp_path: Path) -> None:
    with up(port_base, marked, tmp_path / "up") as process:
        read_until(process, READY)
        pid = Endpoints.load(tmp_path / "up" / f"{port_base}.json").service_pids["inventory"]
        os.kill(pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 1
        assert errors.startswith(f"plumb up: inventory (process {pid}) was killed by SIGKILL. Its last lines")
    assert marked.leftovers() == []


def test_a_taken_port_is_named_and_nothing_is_started(port_base: int, marked: Marked, tmp_path: Path) -> None:
    with socket.socket(local_address(0).family) as taken:
        taken.bind(local_address(port_base + 6))
        taken.listen()
        with up(port_base, marked, tmp_path / "up") as process:
            output, errors = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 1
            assert f"port {port_base + 6} (PostgreSQL) is taken" in errors
            assert "starting" not in output


def test_a_folder_that_cannot_be_written_is_named(port_base: int, marked: Marked, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with up(port_base, marked, tmp_path / "file" / "up") as process:
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 1
        assert errors.startswith("plumb up: cannot write in ")
        assert len(errors.splitlines()) == 1

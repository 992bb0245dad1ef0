"""Tests of `plumb proxy`: it passes bytes on, ends cleanly, and names a bad option in one sentence."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from observability.cli import main
from tests.patience import PATIENCE_SECONDS

PROGRAM = "from observability.cli import main; main(prog_name='plumb')"


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    """Run the command; yield it and its address once it has printed that."""
    command = [sys.executable, "-c", PROGRAM, "proxy", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            host, port = process.stdout.readline().split()[0].split(":")
            yield process, (host, int(port))
        finally:
            process.kill()


def connected(address: tuple[str, int]) -> socket.socket:
    """Open a connection whose waits are all bounded."""
    return socket.create_connection(address, timeout=PATIENCE_SECONDS)


@pytest.fixture
def echo() -> Iterator[str]:
    """Yield the address of a server that sends one read of one connection back, and stays."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.recv(100))
                with suppress(ConnectionResetError):
                    connection.recv(100)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    thread.join(PATIENCE_SECONDS)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_proxy_command_runs_until_a_signal(number: signal.Signals, code: int, echo: str, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    arguments = ("--to", echo, "--latency-ms", "2", "--jitter-ms", "1", "--seed", "7", "--ready-file", str(ready))
    with running(*arguments) as (process, address), connected(address) as connection:
        assert json.loads(ready.read_text()) == {"proxy": "{}:{}".format(*address)}
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert (process.returncode, errors) == (code, "plumb proxy: stopped; its connections are closed\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_proxy_command_counts_failed_connections() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Bound and not listening: it refuses.
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        with running("--to", target, "--latency-ms", "0") as (process, address):
            # The reset may arrive before `connect` has returned.
            with pytest.raises(ConnectionResetError), connected(address) as connection:
                connection.recv(1)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert "1 connections were reset at once" in errors


def test_help_names_every_option() -> None:
    result = CliRunner().invoke(main, ["proxy", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    options = {"--listen", "--to", "--latency-ms", "--jitter-ms", "--seed", "--ready-file", "--allow-remote"}
    assert {option for option in options if option in result.output} == options


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--to", "nonsense", "--latency-ms", "5"), "--to 'nonsense'"),
        (("--to", "127.0.0.1:0", "--latency-ms", "5"), "--to '127.0.0.1:0'"),
        (("--to", "127.0.0.1:1", "--latency-ms", "5", "--listen", "127.0.0.1:99999"), "--listen '127.0.0.1:99999'"),
        (("--to", "192.0.2.1:80", "--latency-ms", "5"), "--allow-remote"),
        (("--to", "127.0.0.1:1", "--latency-ms", "5", "--listen", "0.0.0.0:0"), "--allow-remote"),
        (("--to", "127.0.0.1:1", "--latency-ms", "-5"), "--latency-ms must be"),
        (("--to", "127.0.0.1:1", "--latency-ms", "5", "--jitter-ms", "inf"), "--jitter-ms must be"),
    ],
)
def test_a_bad_option_is_named_in_one_line(arguments: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(main, ["proxy", *arguments])
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_taken_address_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = CliRunner().invoke(main, ["proxy", "--to", "127.0.0.1:1", "--latency-ms", "5", "--listen", address])
    assert result.exit_code == 1
    assert "--listen" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unwritable_ready_file_is_reported() -> None:
    arguments = ["proxy", "--to", "127.0.0.1:1", "--latency-ms", "5", "--ready-file", "/dev/null/ready.json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "--ready-file /dev/null/ready.json" in result.stderr
    assert len(result.stderr.splitlines()) == 1

"""The whole platform on a machine that has [::1] and no 127.0.0.1."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from services.local.platform.endpoints import Endpoints
from services.local.platform.plan import base_environment
from tests.patience import PATIENCE_SECONDS

PLUMB = str(Path(sys.executable).with_name("plumb"))
PROGRAMS = ("unshare", "nsenter", "ip")
# The network is there for as long as this process, which ends when its input does.
NETWORK = "ip link set lo up && ip addr del 127.0.0.1/8 dev lo && echo ready && exec cat"


@pytest.fixture
def inside() -> Iterator[tuple[str, ...]]:
    """Return what runs a command in a network of its own, whose only address is ::1."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        pytest.skip(f"{', '.join(missing)} not here: a machine without 127.0.0.1 stays unproven")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", NETWORK], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as network:
        assert network.stdin
        assert network.stdout
        assert network.stderr
        if network.stdout.readline() != "ready\n":
            why = network.stderr.read().strip()
            pytest.skip(f"no network of our own can be made, a machine without 127.0.0.1 stays unproven: {why}")
        yield ("nsenter", f"--net=/proc/{network.pid}/ns/net")
        network.stdin.close()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait for a file that a process writes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def run(command: Sequence[str], folder: Path) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=base_environment(),
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.full
@pytest.mark.parametrize("mode", ["services", "monolith"])
def test_orders_are_sold_where_127_0_0_1_is_absent(inside: tuple[str, ...], mode: str, tmp_path: Path) -> None:
    addresses, result = tmp_path / "endpoints.json", tmp_path / "result.json"
    up = [*inside, PLUMB, "up", "--mode", mode, "--endpoints", str(addresses)]
    pipe = subprocess.PIPE
    with subprocess.Popen(up, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True, env=base_environment()) as platform:
        try:
            wait_for(addresses, platform)
            endpoints = Endpoints.load(addresses)
            load = ("--endpoints", str(addresses), "--rate", "3", "--duration", "5", "--json", str(result))
            said = run([*inside, PLUMB, "load", *load], tmp_path)
        finally:
            platform.send_signal(signal.SIGINT)
            output, errors = platform.communicate(timeout=PATIENCE_SECONDS)
    assert platform.returncode == 0, errors
    shown = (endpoints.edge_http, endpoints.order_grpc, endpoints.inventory_grpc, endpoints.otlp_http)
    assert all(address.startswith("[::1]:") for address in (*shown, *endpoints.admin.values())), shown
    assert f"http://{endpoints.edge_http}/docs" in output
    assert json.loads(result.read_bytes())["summary"]["confirmed"] > 0, said
    assert list(Path(endpoints.notifications_directory).glob("*.eml")), "no event was delivered"
    assert (Path(endpoints.traces_directory) / "traces.jsonl").stat().st_size > 0, "no span arrived"

"""Docker engine for one test, with its own socket and folder; restores the firewall at the end."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.stack.kept import CACHE
from tests.stack.processes import eventually
from tests.stack.programs import need

COMMAND_SECONDS = 900.0
TAIL_LINES = 12
KEPT_HOURS = 72
TABLES = ("raw", "mangle", "nat", "filter")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# Left by an engine that was stopped; no other program uses it.
BRIDGE = "docker0"


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine: the environment of its client."""

    environment: dict[str, str]

    def run(self, *command: str | Path, folder: Path | None = None, more: dict[str, str] | None = None) -> str:
        """Run a client of the engine and return what it printed on standard output; fails with its last words."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env={**os.environ, **self.environment, **(more or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        words = (done.stdout + done.stderr).splitlines()
        assert done.returncode == 0, "\n".join([" ".join(map(str, command)), *words[-TAIL_LINES:]])
        return done.stdout


@contextmanager
def engine() -> Iterator[Engine]:
    """Start an engine and stop it; the images stay in the cache, so that the next build is short."""
    if os.geteuid() != 0:
        pytest.skip("a Docker engine of our own needs root")
    daemon, _ = need("dockerd"), need("docker")
    others = subprocess.run(["pgrep", "-x", "dockerd"], capture_output=True, check=False, timeout=PATIENCE_SECONDS)
    if others.returncode == 0:
        pytest.skip("another dockerd runs here, whose firewall rules ours would disturb")
    before, forwarding = firewall(), FORWARDING.read_text(encoding="ascii")
    # Short, since the path of a socket may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="engine-") as name:
        folder = Path(name)
        socket = f"unix://{folder}/docker.sock"
        process = _start(daemon, folder, socket)
        running = Engine({"DOCKER_HOST": socket, "DOCKER_CONFIG": name, "DOCKER_BUILDKIT": "0"})
        try:
            yield running
            # What no build of the last days used: without an end the cache would grow with each change.
            running.run("docker", "image", "prune", "--force", "--filter", f"until={KEPT_HOURS}h")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)
            restore_firewall(before)
            FORWARDING.write_text(forwarding, encoding="ascii")
            subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False, timeout=PATIENCE_SECONDS)
    assert firewall() == before


def _start(daemon: str, folder: Path, socket: str) -> subprocess.Popen[bytes]:
    data = CACHE / "docker"
    data.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    arguments = ["--data-root", data, "--exec-root", folder / "exec", "--pidfile", folder / "pid", "--host", socket]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [daemon, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )

    def state() -> str | None:
        if process.poll() is not None:
            return "ended"
        asked = subprocess.run(
            ["docker", "--host", socket, "info"], capture_output=True, check=False, timeout=PATIENCE_SECONDS
        )
        return None if asked.returncode else "runs"

    if eventually(state, what="dockerd answers") == "ended":
        said = [
            line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if "level=info" not in line
        ]
        pytest.skip(f"dockerd does not run here: {' / '.join(said[-3:])}")
    return process


def firewall() -> dict[str, list[str]]:
    """Return the rules of each table, without counters and comments; nothing for a table that holds nothing."""
    saved = {table: _iptables("iptables-save", "-t", table).splitlines() for table in TABLES}
    lines = {
        table: [line.partition(" [")[0] for line in text if line and line[0] not in "#*" and line != "COMMIT"]
        for table, text in saved.items()
    }
    bare = {"ACCEPT", "-"}
    return {
        table: rules
        for table, rules in lines.items()
        if any(rule[0] != ":" or rule.split()[1] not in bare for rule in rules)
    }


def restore_firewall(before: dict[str, list[str]]) -> None:
    """Put each table back to what it was; one that held nothing is emptied."""
    for table in TABLES:
        now = _iptables("iptables-save", "-t", table).splitlines()
        builtin = [line.partition(" [")[0].split()[0] for line in now if line.startswith(":") and " - " not in line]
        rules = before.get(table, [f"{chain} ACCEPT" for chain in builtin])
        if now:
            text = "\n".join(
                [f"*{table}", *(f"{rule} [0:0]" if rule[0] == ":" else rule for rule in rules), "COMMIT", ""]
            )
            _iptables("iptables-restore", text=text)


def _iptables(*command: str, text: str = "") -> str:
    done = subprocess.run(
        [need(command[0]), *command[1:]],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    return done.stdout

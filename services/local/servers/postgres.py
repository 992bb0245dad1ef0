"""Embedded PostgreSQL server, initialised and started in about a second."""

import asyncio
import os
import pwd
import secrets
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.local.processes.child_process import ChildProcess, Command
from services.local.processes.errors import DatabaseUnavailable, PortTaken
from services.local.processes.process_watch import Watch
from services.local.processes.scratch_folder import Scratch
from services.local.servers.ports import free_port, local_address, loopback
from services.local.servers.postgres_binaries import PostgresBinaries, find_postgres_binaries

SUPERUSER = "postgres"
INITDB_SECONDS = 180.0
START_SECONDS = 180.0
PORT_ATTEMPTS = 5
PORT_PAUSE_SECONDS = 0.2
RESTART_STOP_SECONDS = 15.0
# Immediate shutdown, which also removes shared memory, then SIGKILL. The data folder is deleted, so the checkpoint of a
# fast shutdown, which takes seconds, is not needed.
STOP = (("SIGQUIT", 15.0), ("SIGKILL", 5.0))
# Fast shutdown ends sessions and checkpoints; immediate shutdown does neither, and the server recovers as from a crash.
RESTARTS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
# States of a primary, and of a standby, in which they accept logins.
ACCEPTING = frozenset({"ready", "standby"})
# Durability stays real: fsync, synchronous_commit and full_page_writes keep their defaults.
SETTINGS = {
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
    "track_io_timing": "on",
    "log_lock_waits": "on",
    # No data in the log: neither parameters of slow or failed statements, nor rows that violate a constraint.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # In the data folder instead of /dev/shm, where a kill would leave it behind and containers have little space.
    "dynamic_shared_memory_type": "mmap",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresStart:
    """Parameters of a start; `port` 0 means any free one, and `name` is that of the server's folder.

    `wal_level` "logical" is for servers of orders between which logical shards can be moved.
    """

    scratch: Scratch
    log_path: Path
    environment: Mapping[str, str]
    port: int = 0
    cpus: frozenset[int] | None = None
    name: str = "postgres"
    wal_level: Literal["replica", "logical"] = "replica"

    @property
    def folder(self) -> Path:
        """Parent of the data folder, the only folder that PostgreSQL may write."""
        return self.scratch.folder / self.name

    def command(self, name: str, *arguments: str) -> Command:
        """Return the command of a PostgreSQL program, run as a user that it accepts."""
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


class EmbeddedPostgres:
    """A running server: its current process, its port, and the DSN of its superuser."""

    def __init__(self, start: PostgresStart, process: ChildProcess, *, port: int, password: str, watch: Watch) -> None:
        self.process = process
        self.port = port
        self.password = password
        self.admin_dsn = f"postgresql://{SUPERUSER}:{password}@{local_address(port)}/postgres?sslmode=disable"
        self.start = start
        self._watch = watch

    async def restart(self, *, how: Literal["fast", "immediate"] = "fast") -> None:
        """Restart the server on the same port and data; the watch does not report it as a failure.

        "immediate" is a crash of the server, but not of the machine: the page cache is not lost. Raises PortTaken,
        DatabaseUnavailable, ProcessFailed.
        """
        await self.process.end_by(RESTARTS[how], limit_seconds=RESTART_STOP_SECONDS)
        for _ in range(PORT_ATTEMPTS):
            self.process = _launch(self.start, self.port)
            if await _is_ready(self.start, self.process):
                self._watch.add(self.process)
                return
            # A client that tries to connect may have got this very port as its own for a moment.
            await asyncio.sleep(PORT_PAUSE_SECONDS)
        raise PortTaken(f"port {self.port} (PostgreSQL) was taken by another process during the restart.")

    async def stop(self) -> None:
        """Stop the current process of the server."""
        await self.process.stop()


async def start_postgres(
    start: PostgresStart, *, stack: AsyncExitStack, watch: Watch | None = None
) -> EmbeddedPostgres:
    """Create a data folder, start a server on it and wait until it is ready; `stack` stops it, `watch` watches it.

    Raises DatabaseUnavailable, PortTaken, ProcessFailed.
    """
    password = secrets.token_hex(24)
    make_folder(start)
    await _initialise(start, password=password)
    return await serve(start, password=password, stack=stack, watch=watch or Watch())


def make_folder(start: PostgresStart) -> None:
    """Create the folder of a server."""
    start.folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        # If PostgreSQL must run as `nobody`, it needs to traverse the folder of the run.
        start.scratch.folder.chmod(0o711)


async def serve(start: PostgresStart, *, password: str, stack: AsyncExitStack, watch: Watch) -> EmbeddedPostgres:
    """Start a server on an existing data folder and wait until it is ready; `stack` stops it, `watch` watches it."""
    for _ in range(PORT_ATTEMPTS):
        port = start.port or free_port()
        process = _launch(start, port)
        server = EmbeddedPostgres(start, process, port=port, password=password, watch=watch)
        stack.push_async_callback(server.stop)
        if await _is_ready(start, process):
            watch.add(process)
            return server
        if start.port:
            raise PortTaken(f"port {port} (PostgreSQL) is taken. Choose other ports with --port-base.")
    raise DatabaseUnavailable(f"PostgreSQL found no free port in {PORT_ATTEMPTS} attempts; start again.")


def _launch(start: PostgresStart, port: int) -> ChildProcess:
    binaries = find_postgres_binaries()
    return ChildProcess(start.command("postgres", *_server_arguments(start, binaries, port)), scratch=start.scratch)


async def _initialise(start: PostgresStart, *, password: str) -> None:
    """Run initdb; it reads the superuser's password from a file that only we can read, deleted afterwards."""
    password_file = write_secret(start.folder / "password", password)
    try:
        await run_program(
            start,
            "initdb",
            f"--pgdata={start.folder / 'data'}",
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--auth=scram-sha-256",
            "--no-sync",  # the data need not survive a crash of the machine
            f"--pwfile={password_file}",
            limit_seconds=INITDB_SECONDS,
        )
    finally:
        password_file.unlink()


def write_secret(path: Path, text: str) -> Path:
    """Write a new file that only we can read; return its path."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


async def run_program(start: PostgresStart, name: str, *arguments: str, limit_seconds: float) -> None:
    """Run a program of PostgreSQL to its end. Raises DatabaseUnavailable with its output."""
    program = find_postgres_binaries().postgres.with_name(name)
    process = ChildProcess(start.command(name, str(program), *arguments), scratch=start.scratch)
    try:
        await process.started()
        result = await asyncio.wait_for(process.exited(), limit_seconds)
    except TimeoutError as error:
        raise DatabaseUnavailable(f"{name} took more than {limit_seconds:.0f} s.{process.tail()}") from error
    finally:
        await process.stop()
    if result.status != 0:
        raise DatabaseUnavailable(f"PostgreSQL's {name} {result.describe()}.{process.tail()}{_advice()}")


def _server_arguments(start: PostgresStart, binaries: PostgresBinaries, port: int) -> list[str]:
    settings = {**SETTINGS, "listen_addresses": loopback(), "port": str(port), "wal_level": start.wal_level}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(binaries.postgres), "-D", str(start.folder / "data"), *options]


async def _is_ready(start: PostgresStart, process: ChildProcess) -> bool:
    """Wait until the server accepts logins; return False if it ended because the port was taken meanwhile.

    Reads the server's own file and not the port, where another server may answer.
    """

    async def accepts() -> bool:
        return _own_status(start.folder / "data" / "postmaster.pid", process.pid) in ACCEPTING

    return await process.listens_within(START_SECONDS, accepts, taken="could not bind")


def _own_status(pid_file: Path, pid: int) -> str:
    """Return line 8 of postmaster.pid: starting, ready, standby, stopping; "" before the process wrote it."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[7].strip() if len(lines) > 7 and lines[0] == str(pid) else ""


def _must_change_user() -> bool:
    """Return whether PostgreSQL rejects our user: root, or a uid without a name, as after `docker run --user 12345`."""
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
        "\nPostgreSQL accepts neither root nor a user without a name and was started as an unprivileged user: put this "
        "folder where other users may read it, start as an ordinary user, or set PLUMB_POSTGRES_DSN."
    )

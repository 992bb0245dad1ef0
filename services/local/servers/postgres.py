"""A PostgreSQL server on this machine, started from nothing in about a second."""

import asyncio
import os
import pwd
import secrets
import signal
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.local.processes.errors import DatabaseUnavailable, PortTaken
from services.local.processes.guarded_process import Command, GuardedProcess
from services.local.processes.process_watch import Watch
from services.local.processes.scratch_folder import Scratch
from services.local.servers.ports import free_port, local_address, loopback
from services.local.servers.postgres_binaries import PostgresBinaries, find_postgres_binaries

SUPERUSER = "postgres"
INITDB_SECONDS = 60.0
START_SECONDS = 30.0
POLL_SECONDS = 0.02
PORT_ATTEMPTS = 5
PORT_PAUSE_SECONDS = 0.2
RESTART_STOP_SECONDS = 15.0
# Immediate shutdown, which removes shared memory too, then the hard way: the data folder is thrown away, and the last
# checkpoint of a fast shutdown would take seconds.
STOP = (("SIGQUIT", 15.0), ("SIGKILL", 5.0))
# An orderly end that cuts sessions off, and one without a checkpoint, from which the server recovers as after a crash.
RESTARTS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
# Durability stays real: fsync, synchronous_commit and full_page_writes keep their defaults.
SETTINGS = {
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
    "track_io_timing": "on",
    "log_lock_waits": "on",
    # No value in the log: not of a slow or failed statement's parameters, not of the row that a constraint refused.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # In the data folder rather than in /dev/shm, where a kill would leave it behind and containers have little.
    "dynamic_shared_memory_type": "mmap",
}


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


class EmbeddedPostgres:
    """A running server of our own: the process that serves now, its port, and the address of its superuser."""

    def __init__(
        self, start: PostgresStart, process: GuardedProcess, *, port: int, password: str, watch: Watch
    ) -> None:
        self.process = process
        self.port = port
        self.admin_dsn = f"postgresql://{SUPERUSER}:{password}@{local_address(port)}/postgres?sslmode=disable"
        self._start = start
        self._watch = watch

    async def restart(self, *, how: Literal["fast", "immediate"] = "fast") -> None:
        """Ends the server and starts it again, on the same port and data; the watch does not take that for a failure.

        "immediate" is a crash for the server, without the loss of what the system had cached. Raises PortTaken,
        DatabaseUnavailable, ProcessFailed.
        """
        await self.process.end_by(RESTARTS[how], limit_seconds=RESTART_STOP_SECONDS)
        for _ in range(PORT_ATTEMPTS):
            self.process = _launch(self._start, self.port)
            if await _is_ready(self._start, self.process):
                self._watch.add(self.process)
                return
            # A client of ours that tries to connect may have got just this port as its own end, for a moment.
            await asyncio.sleep(PORT_PAUSE_SECONDS)
        raise PortTaken(f"port {self.port} (PostgreSQL) was taken by another process during the restart.")

    async def stop(self) -> None:
        """Stops the process that serves now."""
        await self.process.stop()


async def start_postgres(
    start: PostgresStart, *, stack: AsyncExitStack, watch: Watch | None = None
) -> EmbeddedPostgres:
    """Makes a data folder, starts a server on it and waits until it is ready; `stack` stops it, `watch` misses it.

    Raises DatabaseUnavailable, PortTaken, ProcessFailed.
    """
    watch = watch or Watch()
    password = secrets.token_hex(24)
    start.folder.mkdir(mode=0o700)
    if os.geteuid() == 0:
        # Should PostgreSQL have to run as `nobody`, it passes through the run's folder to its own.
        start.scratch.folder.chmod(0o711)
    await _initialise(start, binaries=find_postgres_binaries(), password=password)
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


def _launch(start: PostgresStart, port: int) -> GuardedProcess:
    binaries = find_postgres_binaries()
    return GuardedProcess(start.command("postgres", *_server_arguments(start, binaries, port)), scratch=start.scratch)


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
        "--no-sync",  # A machine that fails takes the data folder with it.
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
    settings = {**SETTINGS, "listen_addresses": loopback(), "port": str(port)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(binaries.postgres), "-D", str(start.folder / "data"), *options]


async def _is_ready(start: PostgresStart, process: GuardedProcess) -> bool:
    """Waits until the server accepts logins; false when it ended because the port was taken meanwhile.

    The server's own file is asked rather than the port: behind that, somebody else's server may answer.
    """
    pid = await process.started()
    deadline = time.monotonic() + START_SECONDS
    while not process.ended:
        if _own_status(start.folder / "data" / "postmaster.pid", pid) == "ready":
            return True
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(f"PostgreSQL was not ready within {START_SECONDS:.0f} s.{process.tail()}")
        await asyncio.sleep(POLL_SECONDS)
    if "could not bind" in process.tail():
        return False
    raise process.failure(await process.exited())


def _own_status(pid_file: Path, pid: int) -> str:
    """The eighth line of postmaster.pid: starting, ready, stopping; "" before there is one of this process."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[7].strip() if len(lines) > 7 and lines[0] == str(pid) else ""


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

"""In which order does the platform come up, and in which does it go down?

Up: database, receiver, migrations, inventory, order. Each part registers its end when it begins: down is the reverse.
"""

import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from services.local.databases import Databases, new_run_prefix
from services.local.endpoints import Endpoints
from services.local.errors import FolderUnusable, LocalError, ProcessFailed
from services.local.identity import start_token
from services.local.plan import (
    CONTEXTS,
    PlatformOptions,
    base_environment,
    inventory_settings,
    monolith_settings,
    order_settings,
    receiver_settings,
)
from services.local.ports import Ports, documented_ports
from services.local.postgres import PostgresStart, start_postgres
from services.local.process import Command, GuardedProcess
from services.local.scratch import Scratch, reap_stale_runs
from services.local.watch import Watch

DSN_VARIABLE = "PLUMB_POSTGRES_DSN"
POLL_SECONDS = 0.02
MIGRATION_SECONDS = 60.0
KILL_SECONDS = 5.0

Progress = Callable[[str], None]


def silent(message: str) -> None:
    """A progress listener that says nothing."""


class Startup:
    """One start of the platform; what it started is stopped by `stack`."""

    def __init__(self, options: PlatformOptions, *, progress: Progress, watch: Watch, stack: AsyncExitStack) -> None:
        self._options = options
        self._progress = progress
        self._watch = watch
        self._stack = stack
        self._ports = Ports()
        self._environment = base_environment()
        self._processes: dict[str, GuardedProcess] = {}
        self._scratch: Scratch

    async def run(self) -> Endpoints:
        """Starts everything and returns its addresses; raises LocalError."""
        for reaped in reap_stale_runs():
            self._progress(reaped)
        if self._options.port_base is not None:
            self._ports = documented_ports(self._options.port_base)
        self._prepare_run_directory()
        self._scratch = Scratch()
        self._stack.push_async_callback(self._scratch.close)
        postgres_pid, databases = await self._start_databases()
        receiver = self._start_receiver()
        receiver_ready, *_ = await self._watch.unless_failure(self._prepare(receiver, databases))
        otlp_http = receiver_ready["http"]
        self._environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{otlp_http}"
        start = self._start_services if self._options.mode == "services" else self._start_monolith
        addresses = await start(databases)
        return self._endpoints(addresses, otlp_http=otlp_http, databases=databases, postgres_pid=postgres_pid)

    def _prepare_run_directory(self) -> None:
        """Makes the folders that the run writes, and finds out now whether it may."""
        try:
            for folder in (self._options.logs_directory, self._options.traces_directory):
                folder.mkdir(parents=True, exist_ok=True)
                for earlier in (*folder.glob("*.log"), *folder.glob("traces*.jsonl*")):
                    earlier.unlink()
                with tempfile.TemporaryFile(dir=folder):
                    pass
        except OSError as error:
            raise FolderUnusable(
                f"cannot write in {self._options.run_directory}: {error.strerror}. "
                "Start in a folder that you may write."
            ) from error

    async def _start_databases(self) -> tuple[int | None, dict[str, str]]:
        """A server of our own, or a given one; and on it a database for each context. Returns its pid and the DSNs."""
        given_dsn = os.environ.get(DSN_VARIABLE)
        if given_dsn:
            return None, await self._use_given_server(given_dsn)
        began = time.monotonic()
        self._progress("starting PostgreSQL")
        log_path = self._options.logs_directory / "postgres.log"
        server = await start_postgres(
            PostgresStart(
                scratch=self._scratch,
                log_path=log_path,
                environment=self._environment,
                port=self._ports.postgres,
                cpus=self._options.cpus,
            ),
            stack=self._stack,
        )
        self._stack.push_async_callback(self._stop, server.process)
        self._watch.add(server.process)
        self._processes["postgres"] = server.process
        databases = Databases(admin_dsn=server.admin_dsn)
        created = await self._watch.unless_failure(databases.create(CONTEXTS))
        await self._watch.unless_failure(databases.prepare_own_server(CONTEXTS))
        self._progress(f"PostgreSQL answers on port {server.port} after {time.monotonic() - began:.1f} s")
        return server.process.pid, created

    async def _use_given_server(self, admin_dsn: str) -> dict[str, str]:
        databases = Databases(admin_dsn=admin_dsn, prefix=new_run_prefix())
        for name in await databases.drop_stale():
            self._progress(f"dropped the database and role {name}, left by an earlier run")
        self._stack.push_async_callback(self._drop, databases)
        self._progress(f"using the PostgreSQL of {DSN_VARIABLE}")
        return await databases.create(CONTEXTS)

    async def _drop(self, databases: Databases) -> None:
        try:
            self._progress("dropping the run's databases")
        finally:
            await databases.drop([databases.prefix + context for context in CONTEXTS])

    def _start_receiver(self) -> GuardedProcess:
        settings = receiver_settings(
            ports=self._ports,
            directory=self._options.traces_directory.resolve(),
            ready_file=self._ready_file("receiver"),
        )
        return self._launch("receiver", settings, arguments=())

    async def _prepare(self, receiver: GuardedProcess, databases: Mapping[str, str]) -> list[dict[str, str]]:
        """Waits for the receiver while both contexts bring their tables up to date."""
        await asyncio.gather(*(self._migrate(context, databases[context]) for context in CONTEXTS))
        return [await self._ready("receiver", receiver, keys=("http",))]

    async def _migrate(self, context: str, dsn: str) -> None:
        """Runs the context's migrations to their end; raises ProcessFailed with what it said."""
        name = f"{context}-migrate"
        command = self._command(name, context, ("migrate",), {f"{context.upper()}_DATABASE_DSN": dsn})
        process = GuardedProcess(command, scratch=self._scratch)
        try:
            await process.started()
            result = await asyncio.wait_for(process.exited(), MIGRATION_SECONDS)
        except TimeoutError as error:
            raise ProcessFailed(f"{name} took more than {MIGRATION_SECONDS:.0f} s.{process.tail()}") from error
        finally:
            await process.stop()
        if result.status != 0:
            raise process.failure(result)

    async def _start_services(self, databases: Mapping[str, str]) -> dict[str, str]:
        """Inventory, then order, which needs its address."""
        settings = inventory_settings(
            ports=self._ports, dsn=databases["inventory"], ready_file=self._ready_file("inventory")
        )
        inventory = await self._serve("inventory", settings, keys=("grpc", "admin"))
        settings = order_settings(
            ports=self._ports,
            dsn=databases["order"],
            ready_file=self._ready_file("order"),
            inventory_target=inventory["grpc"],
        )
        order = await self._serve("order", settings, keys=("grpc", "http", "admin"))
        return {
            "edge_http": order["http"],
            "order_grpc": order["grpc"],
            "inventory_grpc": inventory["grpc"],
            "admin.order": order["admin"],
            "admin.inventory": inventory["admin"],
        }

    async def _start_monolith(self, databases: Mapping[str, str]) -> dict[str, str]:
        """Everything in one process."""
        settings = monolith_settings(ports=self._ports, databases=databases, ready_file=self._ready_file("monolith"))
        keys = ("order_grpc", "inventory_grpc", "http", "admin")
        monolith = await self._serve("monolith", settings, keys=keys)
        return {
            "edge_http": monolith["http"],
            "order_grpc": monolith["order_grpc"],
            "inventory_grpc": monolith["inventory_grpc"],
            "admin.monolith": monolith["admin"],
        }

    async def _serve(self, name: str, settings: Mapping[str, str], *, keys: tuple[str, ...]) -> dict[str, str]:
        process = self._launch(name, settings, arguments=("serve",))
        return await self._watch.unless_failure(self._ready(name, process, keys=keys))

    def _launch(self, name: str, settings: Mapping[str, str], *, arguments: tuple[str, ...]) -> GuardedProcess:
        self._progress(f"starting {name}")
        process = GuardedProcess(self._command(name, name, arguments, settings), scratch=self._scratch)
        self._stack.push_async_callback(self._stop, process)
        self._watch.add(process)
        self._processes[name] = process
        return process

    def _command(self, name: str, program: str, arguments: tuple[str, ...], settings: Mapping[str, str]) -> Command:
        return Command(
            name=name,
            arguments=(sys.executable, "-m", self._options.module(program), *arguments),
            log_path=self._options.logs_directory / f"{name}.log",
            environment={**self._environment, **settings, **self._options.extra_environment(program)},
            stop=(("SIGTERM", self._options.stop_timeout_seconds), ("SIGKILL", KILL_SECONDS)),
            cpus=self._options.cpus,
        )

    def _ready_file(self, name: str) -> Path:
        return self._scratch.folder / f"ready-{name}.json"

    async def _ready(self, name: str, process: GuardedProcess, *, keys: tuple[str, ...]) -> dict[str, str]:
        """Waits until the process wrote its addresses; raises ProcessFailed when it does not in time."""
        await process.started()
        ready_file = self._ready_file(name)
        limit_seconds = self._options.start_timeout_seconds
        deadline = time.monotonic() + limit_seconds
        while not ready_file.exists():
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{name} was not ready within {limit_seconds:.0f} s.{process.tail()}")
            await asyncio.sleep(POLL_SECONDS)
        addresses: dict[str, str] = json.loads(ready_file.read_text())
        if missing := [key for key in keys if key not in addresses]:
            raise ProcessFailed(f"{name} wrote a ready file without {', '.join(missing)}.")
        return addresses

    async def _stop(self, process: GuardedProcess) -> None:
        try:
            if not process.ended:
                self._progress(f"stopping {process.command.name}")
        finally:
            # Whoever listens may fail, on a closed terminal for one; the process stops nevertheless.
            result = await process.stop()
        if result.killed:
            self._progress(f"{process.command.name} did not stop in time and was killed")

    def _endpoints(
        self,
        addresses: Mapping[str, str],
        *,
        otlp_http: str,
        databases: Mapping[str, str],
        postgres_pid: int | None,
    ) -> Endpoints:
        token = start_token(os.getpid())
        if token is None:
            raise LocalError("this system does not tell when a process started")
        return Endpoints(
            run_id=f"{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(3)}",
            mode=self._options.mode,
            supervisor_pid=os.getpid(),
            supervisor_token=token,
            edge_http=addresses["edge_http"],
            order_grpc=addresses["order_grpc"],
            inventory_grpc=addresses["inventory_grpc"],
            admin={key.removeprefix("admin."): value for key, value in addresses.items() if key.startswith("admin.")},
            otlp_http=otlp_http,
            databases=dict(databases),
            postgres_pid=postgres_pid,
            service_pids={name: process.pid for name, process in self._processes.items() if name != "postgres"},
            run_directory=str(self._options.run_directory.resolve()),
            traces_directory=str(self._options.traces_directory.resolve()),
            logs={name: str(process.command.log_path.resolve()) for name, process in self._processes.items()},
        )

"""Foundation of a platform: the databases, cache, event log and span receiver that the services need.

async with Foundation.start(PlatformOptions(run_directory=Path("out/chaos/1"), bus="nats")) as foundation:
    environment = {**foundation.environment, **order_settings(databases=foundation.databases, ...)}
    ... start services of your own, break foundation.postgres or foundation.nats ...
"""

import asyncio
import itertools
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from asyncpg import InsufficientPrivilegeError

from observability.telemetry.environment import unknown_settings
from services.local.platform.launcher import Launcher, Progress, silent
from services.local.platform.plan import (
    COMMON_SETTINGS,
    DATABASES,
    EventLogAddress,
    PlatformOptions,
    base_environment,
    inventory_settings,
    monolith_settings,
    notification_settings,
    notification_stores,
    order_database,
    order_settings,
    order_stores,
    receiver_settings,
)
from services.local.processes.errors import FolderUnusable, LocalError
from services.local.processes.process_watch import Watch
from services.local.processes.scratch_folder import Scratch, reap_stale_runs
from services.local.servers.broker import Broker, start_broker
from services.local.servers.databases import Databases, new_run_prefix, replace_port
from services.local.servers.nats import NatsStart, NatsUnavailable, nats_server_available
from services.local.servers.ports import Ports, documented_ports
from services.local.servers.postgres import EmbeddedPostgres, PostgresStart, start_postgres
from services.local.servers.replicas import start_replicas
from services.local.servers.valkey import EmbeddedValkey, ValkeyStart, start_valkey, valkey_server_available

DSN_VARIABLE = "PLUMB_POSTGRES_DSN"
# Streams of the further servers of orders; the first one's has no number.
SHARD_STREAM = "SHOP_EVENTS"


class Foundation:
    """Running foundation: databases are migrated, the event log exists, the receiver listens; no service runs yet.

    databases: DSN by name, for each of DATABASES and of the further servers of orders
    postgres: embedded server; None if PLUMB_POSTGRES_DSN gives a server
    shard_servers: embedded servers of the further servers of orders
    replicas: streaming replicas of the embedded server
    shard_replicas: those of each further server of orders
    replica_databases: DSN by name; the first has the databases of the first replica of each server, and so on
    nats: embedded server; None if events are published to PostgreSQL
    cache: embedded server; None if this machine has no Valkey
    environment: variables that each process inherits, the receiver's address included
    """

    def __init__(self, options: PlatformOptions, *, progress: Progress, stack: AsyncExitStack) -> None:
        self.options = options
        self.ports = Ports()
        self.watch = Watch()
        self.environment = base_environment()
        self.otlp_http = ""
        self.databases: dict[str, str] = {}
        self.postgres: EmbeddedPostgres | None = None
        self.shard_servers: list[EmbeddedPostgres] = []
        self.replicas: tuple[EmbeddedPostgres, ...] = ()
        self.shard_replicas: list[tuple[EmbeddedPostgres, ...]] = []
        self.nats: Broker | None = None
        self.cache: EmbeddedValkey | None = None
        self.launcher: Launcher
        self._progress = progress
        self._stack = stack
        self._scratch: Scratch

    @staticmethod
    @asynccontextmanager
    async def start(options: PlatformOptions, *, progress: Progress = silent) -> AsyncIterator["Foundation"]:
        """Start the foundation during a with block, and remove everything at its end. Raises LocalError."""
        async with AsyncExitStack() as stack:
            foundation = Foundation(options, progress=progress, stack=stack)
            await foundation._start()
            yield foundation

    @property
    def run_directory(self) -> Path:
        """Folder of logs, traces and confirmations."""
        return self.options.run_directory

    @property
    def event_log(self) -> EventLogAddress:
        """Address of the event log."""
        shards = range(1, self.options.shards)
        if self.nats is None:
            shard_urls = tuple(self.databases[f"event_log_{number}"] for number in shards)
            return EventLogAddress(self.databases["event_log"], allow_unsafe_sync=False, shard_urls=shard_urls)
        # The embedded server syncs each write if its version can; otherwise the start prints a warning.
        shard_urls = tuple(f"{self.nats.url}/{SHARD_STREAM}_{number}" for number in shards)
        return EventLogAddress(self.nats.url, allow_unsafe_sync=True, shard_urls=shard_urls)

    @property
    def replica_databases(self) -> tuple[dict[str, str], ...]:
        """DSNs by name, the primary's with the replica's port: of the first replica of each server, and so on."""
        groups = [(DATABASES, self.replicas), *zip(self.options.shard_databases, self.shard_replicas, strict=False)]
        return tuple(
            {
                name: replace_port(self.databases[name], replicas[number].port)
                for names, replicas in groups
                for name in names
            }
            for number in range(len(self.replicas))
        )

    @property
    def postgres_servers(self) -> list[EmbeddedPostgres]:
        """All embedded PostgreSQL servers: the first one, the other servers of orders, then the replicas."""
        primaries = [*([self.postgres] if self.postgres else []), *self.shard_servers]
        return [*primaries, *self.replicas, *itertools.chain.from_iterable(self.shard_replicas)]

    @property
    def cache_url(self) -> str:
        """URL of the cache of stock hints; empty without a cache."""
        return self.cache.url if self.cache else ""

    def settings(self, name: str, *, ports: Ports, inventory_target: str) -> dict[str, str]:
        """Return the settings of a service's process; NAME-2 is a second one."""
        databases, event_log, ready_file = self.databases, self.event_log, self.launcher.ready_file(name)
        outbox_folder = self.options.notifications_directory
        match name.removesuffix("-2"):
            case "inventory":
                return inventory_settings(
                    ports=ports,
                    dsn=databases["inventory"],
                    cache_url=self.cache_url,
                    ready_file=ready_file,
                    replicas=self.replica_databases,
                )
            case "order":
                return order_settings(
                    ports=ports,
                    databases=databases,
                    event_log=event_log,
                    ready_file=ready_file,
                    inventory_target=inventory_target,
                    replicas=self.replica_databases,
                )
            case "notification":
                return notification_settings(
                    ports=ports,
                    dsn=databases["notification"],
                    event_log=event_log,
                    ready_file=ready_file,
                    outbox_folder=outbox_folder,
                )
            case "monolith":
                return monolith_settings(
                    ports=ports,
                    databases=databases,
                    event_log=event_log,
                    cache_url=self.cache_url,
                    ready_file=ready_file,
                    outbox_folder=outbox_folder,
                    replicas=self.replica_databases,
                )
        raise ValueError(f"no service has the name {name}")

    async def _start(self) -> None:
        if unknown := unknown_settings(os.environ, prefix="PLUMB_", known=[DSN_VARIABLE, *COMMON_SETTINGS]):
            raise LocalError("; ".join(unknown))
        for reaped in reap_stale_runs(parent=self.options.temporary_directory):
            self._progress(reaped)
        if self.options.bus == "nats" and not nats_server_available():
            raise NatsUnavailable(
                "nats-server was not found. Install it (Debian: apt-get install nats-server; otherwise put the "
                "binary from https://github.com/nats-io/nats-server/releases on PATH), or choose --bus postgres."
            )
        if self.options.port_base is not None:
            self.ports = documented_ports(self.options.port_base)
        self._prepare_run_directory()
        self._scratch = Scratch(parent=self.options.temporary_directory)
        self._stack.push_async_callback(self._scratch.close)
        self.launcher = Launcher(
            self.options,
            environment=self.environment,
            scratch=self._scratch,
            watch=self.watch,
            stack=self._stack,
            progress=self._progress,
        )
        # It starts first, since it takes as long as PostgreSQL and depends on nothing.
        self._launch_receiver()
        await self._start_databases()
        await self._start_cache()
        if self.options.bus == "nats":
            await self._start_nats()
        await self.watch.unless_failure(self._migrate())
        await self._await_receiver()

    def _prepare_run_directory(self) -> None:
        """Create the folders of the run, and check that they are writable. Raises FolderUnusable."""
        options = self.options
        patterns = {
            options.logs_directory: "*.log",
            options.traces_directory: "traces*.jsonl*",
            options.notifications_directory: "*.eml*",
        }
        try:
            for folder, pattern in patterns.items():
                folder.mkdir(parents=True, exist_ok=True)
                for earlier in folder.glob(pattern):
                    earlier.unlink()
                with tempfile.TemporaryFile(dir=folder):
                    pass
        except OSError as error:
            raise FolderUnusable(
                f"cannot write in {options.run_directory}: {error.strerror}. Start in a folder that you may write."
            ) from error

    async def _start_databases(self) -> None:
        """Start the embedded server or use the given one, and create all databases on it."""
        given_dsn = os.environ.get(DSN_VARIABLE)
        if given_dsn:
            if self.options.replicas:
                raise LocalError(
                    f"--replicas copies the embedded PostgreSQL, and {DSN_VARIABLE} gives another server: unset one."
                )
            self.databases = await self._use_given_server(given_dsn)
            return
        port = self.ports.postgres
        self.postgres, start, self.databases = await self._start_postgres("postgres", DATABASES, port=port)
        self.replicas = await self._start_replicas(self.postgres, start)
        for number, names in enumerate(self.options.shard_databases, start=1):
            server, start, databases = await self._start_postgres(f"postgres-{number}", names, port=0)
            self.shard_servers.append(server)
            self.databases |= databases
            self.shard_replicas.append(await self._start_replicas(server, start))

    async def _start_postgres(
        self, name: str, databases: Sequence[str], *, port: int
    ) -> tuple[EmbeddedPostgres, PostgresStart, dict[str, str]]:
        """Start an embedded server with these databases; return it, how it was started, and their DSNs."""
        began = time.monotonic()
        self._progress(f"starting PostgreSQL for {', '.join(databases)}")
        start = PostgresStart(
            scratch=self._scratch,
            log_path=self.options.logs_directory / f"{name}.log",
            environment=self.environment,
            port=port,
            cpus=self.options.cpus,
            name=name,
            wal_level="logical" if self.options.shards > 1 else "replica",
        )
        server = await start_postgres(start, stack=self._stack, watch=self.watch)
        self._stack.push_async_callback(self._stop_server, server)
        creation = Databases(admin_dsn=server.admin_dsn)
        created = await self.watch.unless_failure(creation.create(databases))
        await self.watch.unless_failure(creation.prepare_own_server(databases))
        if self.options.shards > 1:
            await self.watch.unless_failure(creation.allow_moves(databases[0]))
        self._progress(f"PostgreSQL answers on port {server.port} after {time.monotonic() - began:.1f} s")
        return server, start, created

    async def _start_replicas(self, primary: EmbeddedPostgres, start: PostgresStart) -> tuple[EmbeddedPostgres, ...]:
        """Start the replicas of a server; return none if there are to be none."""
        began, count = time.monotonic(), self.options.replicas
        if not count:
            return ()
        replicas = await self.watch.unless_failure(start_replicas(primary, start, count=count, stack=self._stack))
        for replica in replicas:
            self._stack.push_async_callback(self._stop_server, replica)
        names = "replica" if count == 1 else "replicas"
        self._progress(f"{count} streaming {names} of {start.name}: {time.monotonic() - began:.1f} s")
        return replicas

    async def _use_given_server(self, admin_dsn: str) -> dict[str, str]:
        databases = Databases(admin_dsn=admin_dsn, prefix=new_run_prefix())
        for name in await databases.drop_stale():
            self._progress(f"dropped the database and role {name}, left by an earlier run")
        names = [*DATABASES, *itertools.chain.from_iterable(self.options.shard_databases)]
        self._stack.push_async_callback(self._drop, databases, names)
        self._progress(f"using the PostgreSQL of {DSN_VARIABLE}")
        created = await databases.create(names)
        if self.options.shards > 1:
            self._progress("all servers of orders are databases of that one server")
            try:
                for number in range(self.options.shards):
                    await databases.allow_moves(order_database(number))
            except InsufficientPrivilegeError as error:
                self._progress(f"logical shards cannot be moved: {error} (docs/sharding.md lists what roles need)")
        return created

    async def _drop(self, databases: Databases, names: Sequence[str]) -> None:
        try:
            self._progress("dropping the run's databases")
        finally:
            await databases.drop([databases.prefix + name for name in names])

    async def _start_cache(self) -> None:
        if not valkey_server_available():
            self._progress("valkey-server was not found: stock hints are read from the database each time")
            return
        self._progress("starting Valkey")
        start = ValkeyStart(
            scratch=self._scratch,
            log_path=self.options.logs_directory / "valkey-server.log",
            environment=self.environment,
            cpus=self.options.cpus,
        )
        server = self.cache = await self.watch.unless_failure(start_valkey(start, stack=self._stack))
        self.watch.add(server.process)
        self._stack.push_async_callback(self._stop_server, server)
        self._progress(f"Valkey answers on port {server.port}")

    async def _start_nats(self) -> None:
        self._progress("starting NATS")
        start = NatsStart(
            scratch=self._scratch,
            log_path=self.options.logs_directory / "nats-server.log",
            environment=self.environment,
            port=self.ports.nats,
            cpus=self.options.cpus,
        )
        server = self.nats = await self.watch.unless_failure(start_broker(start, stack=self._stack, watch=self.watch))
        self._stack.push_async_callback(self._stop_server, server)
        self._progress(f"NATS answers on port {server.port}")
        if not server.syncs_always:
            self._progress(
                "this NATS is older than 2.10 and does not sync each write: a power cut may lose events that it "
                "acknowledged; the relay then publishes them again"
            )

    async def _stop_server(self, server: EmbeddedPostgres | EmbeddedValkey | Broker) -> None:
        """Stop the current process of a server, which a restart may have replaced."""
        await self.launcher.stop(server.process)

    def _launch_receiver(self) -> None:
        settings = receiver_settings(
            ports=self.ports,
            directory=self.options.traces_directory.resolve(),
            ready_file=self.launcher.ready_file("receiver"),
        )
        self.launcher.launch("receiver", settings, arguments=())

    async def _await_receiver(self) -> None:
        receiver = await self.watch.unless_failure(self.launcher.ready("receiver", keys=("http",)))
        self.otlp_http = receiver["http"]
        self.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{self.otlp_http}"

    async def _migrate(self) -> None:
        """Run the migrations of all contexts, concurrently."""
        databases, event_log, migrate = self.databases, self.event_log, self.launcher.migrate
        await asyncio.gather(
            migrate("order", order_stores(databases=databases, event_log=event_log)),
            migrate("inventory", {"INVENTORY_DATABASE_DSN": databases["inventory"]}),
            migrate("notification", notification_stores(dsn=databases["notification"], event_log=event_log)),
        )

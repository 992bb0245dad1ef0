"""Testbed of a trial: shared servers, and for each block fresh processes on copies of template databases.

async with Testbed.open(folder) as testbed:
    async with testbed.serving(variant) as serving:
        ... send load to serving.edge ...
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from valkey.asyncio import Valkey

from observability.experiments.adapters import CLIENT_VARIABLE, VARIABLE
from observability.experiments.experiment import Variant
from observability.experiments.runner.errors import TrialError
from observability.experiments.synchronous_notification import FOLDER_VARIABLE
from observability.load.demand import SKU_COUNT, sku_of_rank
from observability.load.host_usage import default_cpu, usable_cpus
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from observability.network.proxy import Address, Delay, Proxy, rerouted
from observability.testbed.environment import describe_environment
from observability.testbed.errors import TestbedError
from observability.testbed.mail_sink import mail_server
from observability.testbed.overload_protection import UNPROTECTED
from observability.testbed.process_group import ProcessGroup, ProcessGroupOptions
from observability.testbed.process_metrics import pin
from observability.testbed.processor_limit import ProcessorLimit, limited
from services.infra.address import parse_address
from services.local.platform.endpoints import Mode
from services.local.platform.plan import DATABASES, PROCESSES, order_databases
from services.local.servers.ports import local_address
from services.local.servers.postgres import EmbeddedPostgres
from services.order.adapters.shard_move_session import MoveRefused
from services.order.workers.shard_move import MoveStalled, move_shard

MEMORY = Path("/dev/shm")  # noqa: S108  # Linux's own file system in memory; the folder in it is a random one
MODULES = {name: f"observability.experiments.{name}_process" for name in ("inventory", "notification", "order")}
# Templates and copies of all databases, with a table that has grown, and PostgreSQL's own log.
ROOM_BYTES = 4 * 1024**3
STATEMENT_SECONDS = 120.0
CACHE_SECONDS = 10.0
REPLAY_POLL_SECONDS = 0.05
REPLICAS_OF = ("INVENTORY", "ORDER", "ORDER_SHARD", "ORDER_READ")
NO_REPLICAS = {f"{name}_REPLICA_DSNS": "" for name in REPLICAS_OF}
# There is no load balancer, which would need this delay to notice that a process ends.
DRAIN_DELAYS = {f"{name}_DRAIN_DELAY_SECONDS": "0" for name in ("ORDER", "INVENTORY", "NOTIFICATION")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A running platform.

    edge: host:port of its HTTP edge.
    admin: host:port of the metrics, by process.
    pids: process ids, by process.
    postgres_pids: process ids of the PostgreSQL servers, with the replicas, by name.
    limits: processor limits of PostgreSQL servers, by name.
    databases: DSNs by name.
    traces: folder of the recorded traces.
    generator_cpu: core reserved for the load generator, None on a machine with one core.
    cache_url: empty when there is no cache.
    """

    edge: str
    admin: Mapping[str, str]
    pids: Mapping[str, int]
    postgres_pids: Mapping[str, int]
    admin_dsn: str
    databases: Mapping[str, str]
    traces: Path
    generator_cpu: int | None
    cache_url: str = ""
    limits: Mapping[str, ProcessorLimit] = field(default_factory=dict)

    @property
    def edge_admin(self) -> str:
        """The host:port of the metrics of the process that serves the edge."""
        return self.admin["monolith" if "monolith" in self.admin else "order"]


class Testbed:
    """The servers of a trial: PostgreSQL with a stocked template of each database, and the receiver of traces.

    `servers` are the PostgreSQL servers, each with the names of its databases.
    """

    def __init__(
        self,
        services: ProcessGroup,
        *,
        folder: Path,
        servers: Sequence[tuple[EmbeddedPostgres, Sequence[str]]],
        stack: AsyncExitStack,
    ) -> None:
        self.foundation = services.foundation
        self.folder = folder
        self._groups: dict[Mode, ProcessGroup] = {"services": services}
        self._stack = stack
        self.generator_cpu = default_cpu()
        self._servers = servers
        self._admin_dsn = servers[0][0].admin_dsn

    @staticmethod
    @asynccontextmanager
    async def open(folder: Path, *, shards: int = 1, replicas: int = 0) -> AsyncIterator["Testbed"]:
        """Start the servers, stock the shop once, and keep templates. Raises TestbedError, LocalError, LoadError.

        `shards` is the number of servers of orders in all variants that run on it, `replicas` that of the streaming
        replicas of each, which a variant reads or not.
        """
        options = ProcessGroupOptions(
            folder=folder,
            mode="services",
            bus="postgres",
            shards=shards,
            replicas=replicas,
            environment=DRAIN_DELAYS | UNPROTECTED,
            modules=MODULES,
            # On a shared disk other work makes a commit take 1 to 70 ms, which would disturb every experiment.
            temporary_directory=memory_with_room(),
        )
        async with ProcessGroup.open(options) as group, AsyncExitStack() as stack:
            foundation = group.foundation
            if foundation.postgres is None:
                raise TestbedError("the lab needs a PostgreSQL of its own: unset PLUMB_POSTGRES_DSN")
            more = zip(foundation.shard_servers, foundation.options.shard_databases, strict=True)
            testbed = Testbed(group, folder=folder, servers=[(foundation.postgres, DATABASES), *more], stack=stack)
            await group.start_all()
            skus = ample_stock(sku_of_rank(rank) for rank in range(1, SKU_COUNT + 1))
            await stock_shop(str(local_address(group.ports.inventory_grpc)), skus, request_id_prefix="lab")
            await stop(group)
            await testbed._keep_templates()
            testbed._pin([server.process.pid for server in testbed._all_servers().values()])
            testbed._pin(testbed._beside().values())
            with keeping_off(testbed.generator_cpu):
                yield testbed

    async def describe_environment(self) -> dict[str, str]:
        """Return hardware and versions by name. Raises TestbedError."""
        stores = {"databases": "in memory" if self.foundation.options.temporary_directory else "on the disk"}
        dsn = self.foundation.databases["order"]
        return await describe_environment(dsn, stores=stores, platform_cpus=platform_cpus())

    @asynccontextmanager
    async def serving(self, variant: Variant) -> AsyncIterator[Serving]:
        """Run the platform in a variant's configuration on copies of the templates, for the `async with` block."""
        group, foundation = await self.group(variant.mode), self.foundation
        await self._copy_templates()
        await flush_cache(foundation.cache_url)
        for database, statements in variant.statements.items():
            await run_statements(foundation.databases[database], statements)
        for server, _ in self._servers:
            async with administering(server.admin_dsn) as connection:
                # Otherwise the copies' pending writes would compete with the block's commits.
                await connection.execute("CHECKPOINT")
        await self._replay()
        async with AsyncExitStack() as stack:
            settings = await self._settings(variant, stack)
            stack.push_async_callback(group.kill_all)
            await asyncio.gather(*(group.start_ready(name, **settings_of(name, settings)) for name in group.processes))
            pids = {name: group.handles[name].pid for name in group.processes}
            self._pin(pids.values())
            await move_shards(foundation.databases, variant.moves)
            limits = self._limit(variant.processor_limits, stack)
            yield Serving(
                edge=str(local_address(group.ports.edge_http)),
                admin={name: group.admin_address(name) for name in group.processes},
                pids={**pids, **self._beside()},
                postgres_pids={name: server.process.pid for name, server in self._all_servers().items()},
                admin_dsn=self._admin_dsn,
                databases=foundation.databases,
                traces=foundation.options.traces_directory,
                generator_cpu=self.generator_cpu,
                cache_url=foundation.cache_url,
                limits=limits,
            )
            await stop(group)

    async def group(self, mode: Mode) -> ProcessGroup:
        """Return the process group of a mode, prepared on first use; one runs at a time."""
        if mode not in self._groups:
            options = replace(self._groups["services"].options, mode=mode)
            self._groups[mode] = await self._stack.enter_async_context(ProcessGroup.on(self.foundation, options))
        return self._groups[mode]

    def _limit(self, processors: Mapping[str, float], stack: AsyncExitStack) -> dict[str, ProcessorLimit]:
        """Limit the processors of servers until the stack ends. Raises TestbedError."""
        servers = self._all_servers()
        return {
            name: stack.enter_context(limited(servers[name].process.pid, count, name=name))
            for name, count in processors.items()
        }

    def _all_servers(self) -> dict[str, EmbeddedPostgres]:
        """Return the PostgreSQL servers, with the replicas, by name."""
        foundation = self.foundation
        replicas = chain(foundation.replicas, *foundation.shard_replicas)
        return {server.start.name: server for server in (*(each for each, _ in self._servers), *replicas)}

    async def _replay(self) -> None:
        """Wait until the replicas have all changes. Raises TrialError."""
        foundation = self.foundation
        groups = [foundation.replicas, *foundation.shard_replicas]
        for (primary, _), replicas in zip(self._servers, groups, strict=False):
            async with administering(primary.admin_dsn) as connection:
                position = await connection.fetchval("SELECT pg_current_wal_lsn()")
            for replica in replicas:
                await wait_until_replayed(replica, position)

    def _beside(self) -> dict[str, int]:
        """Return the processes that all blocks share, except those of PostgreSQL."""
        receiver, cache = self.foundation.launcher.processes["receiver"], self.foundation.cache
        return {"receiver": receiver.pid, **({"valkey-server": cache.process.pid} if cache else {})}

    def _pin(self, pids: Iterable[int]) -> None:
        """Keep processes off the generator's core, if there are at least two cores."""
        if self.generator_cpu is not None:
            pin(pids, usable_cpus() - {self.generator_cpu})

    async def _keep_templates(self) -> None:
        for server, databases in self._servers:
            async with administering(server.admin_dsn) as connection:
                for name in databases:
                    await connection.execute(f'CREATE DATABASE "template_{name}" TEMPLATE "{name}"')

    async def _copy_templates(self) -> None:
        for server, databases in self._servers:
            async with administering(server.admin_dsn) as connection:
                for name in databases:
                    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
                    await connection.execute(f'CREATE DATABASE "{name}" OWNER "{name}" TEMPLATE "template_{name}"')
                    await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')

    async def _settings(self, variant: Variant, stack: AsyncExitStack) -> dict[str, dict[str, str]]:
        """Return the settings of each service: the variant's, its adapters', and the addresses of its proxies."""
        settings = {name: dict(own) for name, own in variant.environment.items()}
        if self.foundation.replicas and not variant.replicas:
            settings["*"] = settings.get("*", {}) | NO_REPLICAS
        for name, adapter in variant.adapters.items():
            service, _, called = name.partition("-")
            variable = CLIENT_VARIABLE if called else VARIABLE
            told = {variable: adapter, FOLDER_VARIABLE: str((self.folder / "lab").absolute())}
            settings.setdefault(service, {}).update(told)
        for between, delay in variant.network.items():
            caller, _, called = between.partition("-")
            told = await self._put_between(caller, called, delay, stack)
            settings.setdefault(caller, {}).update(told)
        return settings

    async def _put_between(self, caller: str, called: str, delay: Delay, stack: AsyncExitStack) -> dict[str, str]:
        """Open a proxy that closes with the stack; return the settings that point the caller to it."""
        setting = f"{caller}_{called}".upper()
        if called == "inventory":
            inventory = local_address(self.foundation.ports.inventory_grpc)
            return {f"{setting}_TARGET": await open_proxy(inventory, delay, stack)}
        if called == "mail":
            server = await stack.enter_async_context(mail_server())
            host, port = parse_address(await open_proxy(server, delay, stack))
            smtp = f"{caller}_SMTP".upper()
            return {f"{smtp}_HOST": host, f"{smtp}_PORT": str(port), f"{smtp}_STARTTLS": "false"}
        databases = self.foundation.databases
        dsn = await self._delayed(databases["order_read" if called == "read_database" else caller], delay, stack)
        told = {f"{setting}_DSN": dsn}
        if (caller, called) == ("order", "database"):
            more = [await self._delayed(databases[name], delay, stack) for name in order_databases(databases)[1:]]
            told["ORDER_SHARD_DSNS"] = " ".join(more)
        return told

    async def _delayed(self, dsn: str, delay: Delay, stack: AsyncExitStack) -> str:
        """Open a proxy to a database that closes with the stack; return the DSN that leads through it."""
        return rerouted(dsn, await open_proxy(local_address(urlsplit(dsn).port or 5432), delay, stack))


async def wait_until_replayed(replica: EmbeddedPostgres, position: str) -> None:
    """Wait until a replica has replayed the log up to a position. Raises TrialError after two minutes."""
    async with administering(replica.admin_dsn) as connection:
        ends = time.monotonic() + STATEMENT_SECONDS
        while not await connection.fetchval("SELECT pg_last_wal_replay_lsn() >= $1", position):
            if time.monotonic() > ends:
                raise TrialError(f"{replica.start.name} is still behind after {STATEMENT_SECONDS:.0f} s")
            await asyncio.sleep(REPLAY_POLL_SECONDS)


def settings_of(process: str, settings: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the settings of a process from those by service ("*" means each); a monolith gets those of all."""
    services = PROCESSES["services"] if process in PROCESSES["monolith"] else (process,)
    told: dict[str, str] = {}
    for service in ("*", *services):
        told |= settings.get(service, {})
    return told


async def open_proxy(target: Address, delay: Delay, stack: AsyncExitStack) -> str:
    """Open a proxy to a target that closes with the stack; return its host:port."""
    proxy = await stack.enter_async_context(Proxy.open(target=target, delay=delay, seed=0))
    return proxy.address


async def move_shards(databases: Mapping[str, str], moves: Iterable[tuple[int, int]]) -> None:
    """Move logical shards to servers of orders as `plumb shards move` does, while the shop runs. Raises TrialError."""
    dsns = [databases[name] for name in order_databases(databases)]
    for logical_shard, server in moves:
        try:
            await move_shard(dsns, logical_shard, server, say=lambda _: None)
        except (MoveRefused, MoveStalled, OSError, asyncpg.PostgresError) as error:
            raise TrialError(f"logical shard {logical_shard} was not moved to server {server}: {error}") from error


async def stop(group: ProcessGroup) -> None:
    """Let every process drain, which also writes its last spans."""
    await asyncio.gather(*(group.stop(name) for name in group.processes))


@contextmanager
def keeping_off(cpu: int | None) -> Iterator[None]:
    """Keep this thread off the generator's core during the `with` block."""
    if cpu is None:
        yield
        return
    former = usable_cpus()
    os.sched_setaffinity(0, former - {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, former)


def platform_cpus() -> frozenset[int] | None:
    """Return the cores that are not the generator's; None on a machine with one core."""
    cpu = default_cpu()
    return None if cpu is None else usable_cpus() - {cpu}


@asynccontextmanager
async def administering(admin_dsn: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """Connect as the databases' administrator for the `async with` block; a statement may take two minutes."""
    connection = await asyncpg.connect(admin_dsn, timeout=STATEMENT_SECONDS, command_timeout=STATEMENT_SECONDS)
    try:
        yield connection
    finally:
        await connection.close(timeout=STATEMENT_SECONDS)


async def flush_cache(cache_url: str) -> None:
    """Empty the cache, if there is one, so that a block does not profit from the one before."""
    if cache_url:
        async with Valkey.from_url(cache_url, socket_timeout=CACHE_SECONDS) as client:
            await client.flushall()


async def run_statements(dsn: str, statements: tuple[str, ...]) -> None:
    """Run statements in a database as its owner; each may take two minutes."""
    async with administering(dsn) as connection:
        await connection.execute("SET statement_timeout = 0")
        for statement in statements:
            await connection.execute(statement)


def memory_with_room() -> Path | None:
    """Return the folder in memory, None when there is none or, as in containers, too little room in it."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM_BYTES else None

"""Process group: the platform's processes on this machine, each of which can be started, stopped and killed."""

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from observability.invariants.target import VerifyTarget
from observability.telemetry.telemetry import unobserved
from observability.testbed.api_clients import ApiClient, open_api_clients
from observability.testbed.errors import TestbedError
from services.infra.rpc.client import open_channel
from services.inventory.rpc.client import InventoryClient
from services.local.platform.endpoints import Bus, Mode
from services.local.platform.foundation import Foundation
from services.local.platform.plan import MODULES, PROCESSES, PlatformOptions, order_databases, order_stores
from services.local.processes.child_process import ChildProcess
from services.local.processes.errors import PortTaken
from services.local.servers.ports import PURPOSES, Ports, documented_ports, local_address

# Below the range of ephemeral ports, so that a restarted process finds its port free.
PORTS = range(12_000, 30_000, 20)
PORT_ATTEMPTS = 50
STOP_SECONDS = 20.0
CONNECT_SECONDS = 10.0
# Second instances of a program, for campaigns in which two compete or take turns.
SECOND_ORDER = "order-2"
SECOND_INVENTORY = "inventory-2"
SECONDS = frozenset({SECOND_ORDER, SECOND_INVENTORY})
# Program of a campaign, with the settings of the order process: it moves logical shards.
MOVER_PROCESS = "mover"
# Campaigns need no spans: databases and answers prove what they check.
PLAIN = {"OTEL_SDK_DISABLED": "true"}
# Shorter times of the shop, so that expiry and recovery happen within a round.
QUICK = {
    **PLAIN,
    "ORDER_SAGA_GRACE_SECONDS": "0.5",
    "INVENTORY_RESERVATION_TTL_SECONDS": "3",
    "INVENTORY_SWEEP_SECONDS": "0.3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessGroupOptions:
    """Options of a platform.

    folder: where it writes logs.
    mode: separate services, or one monolith.
    bus: kind of event log.
    shards: servers of orders.
    environment: extra settings of all processes.
    modules: another program for a process, by process name.
    log_paths: another log file for a process, by process name.
    replicas: streaming replicas of the databases.
    temporary_directory: where the databases lie; None for the system's.
    """

    folder: Path
    mode: Mode
    bus: Bus
    environment: Mapping[str, str]
    shards: int = 1
    modules: Mapping[str, str] = field(default_factory=dict)
    log_paths: Mapping[str, Path] = field(default_factory=dict)
    replicas: int = 0
    temporary_directory: Path | None = None


class ProcessGroup:
    """The platform's processes without a watch: a dead process stays dead until a caller starts it.

    `handles` are the last processes that it started, by name.
    """

    def __init__(self, options: ProcessGroupOptions, foundation: Foundation, processes: tuple[str, ...]) -> None:
        self.options = options
        self.foundation = foundation
        self.processes = processes
        self.handles: dict[str, ChildProcess] = {}
        self._second_ports = documented_ports(free_port_base()) if SECONDS & set(processes) else self.ports

    @staticmethod
    @asynccontextmanager
    async def open(options: ProcessGroupOptions, *, more: Sequence[str] = ()) -> AsyncIterator["ProcessGroup"]:
        """Start databases and event log, and prepare the programs and `more` of them; no process runs yet.

        Raises LocalError.
        """
        platform = PlatformOptions(
            run_directory=options.folder,
            temporary_directory=options.temporary_directory,
            replicas=options.replicas,
            mode=options.mode,
            bus=options.bus,
            shards=options.shards,
            port_base=free_port_base(),
            modules={SECOND_ORDER: MODULES["order"], SECOND_INVENTORY: MODULES["inventory"], **options.modules},
            stop_timeout_seconds=STOP_SECONDS,
        )
        async with (
            Foundation.start(platform) as foundation,
            ProcessGroup.on(foundation, options, more=more) as group,
        ):
            yield group

    @staticmethod
    @asynccontextmanager
    async def on(
        foundation: Foundation, options: ProcessGroupOptions, *, more: Sequence[str] = ()
    ) -> AsyncIterator["ProcessGroup"]:
        """Prepare the programs on a running foundation, which serves one group at a time."""
        processes = (*PROCESSES[options.mode], *more)
        for name in processes:
            foundation.launcher.preload(name)
        group = ProcessGroup(options, foundation, processes)
        try:
            yield group
        finally:
            await group.kill_all()

    @property
    def ports(self) -> Ports:
        """Ports of all processes, except second instances."""
        return self.foundation.ports

    def ports_of(self, name: str) -> Ports:
        """Return the ports of a process."""
        return self._second_ports if name in SECONDS else self.ports

    @property
    def inventory_target(self) -> str:
        """Inventory's gRPC as host:port; both, separated by a comma, if there are two."""
        names = ("inventory", SECOND_INVENTORY) if SECOND_INVENTORY in self.processes else ("inventory",)
        return ",".join(str(local_address(self.ports_of(name).inventory_grpc)) for name in names)

    async def start(self, name: str, **environment: str) -> ChildProcess:
        """Start a process with extra variables; it is not ready yet. Raises LocalError."""
        if name == MOVER_PROCESS:
            own = order_stores(databases=self.foundation.databases, event_log=self.foundation.event_log)
            own["ORDER_READY_FILE"] = str(self.foundation.launcher.ready_file(name))
        else:
            own = self.foundation.settings(name, ports=self.ports_of(name), inventory_target=self.inventory_target)
        settings = {**own, **self.options.environment, **environment}
        handle = self.foundation.launcher.start(name, settings, log_path=self.log_path(name))
        self.handles[name] = handle
        await handle.started()
        return handle

    async def start_ready(self, name: str, **environment: str) -> ChildProcess:
        """Start a process and wait until it serves. Raises LocalError if it ends before, or takes too long."""
        handle = await self.start(name, **environment)
        await self.foundation.launcher.ready(name)
        return handle

    async def is_ready(self, name: str) -> bool:
        """Wait until a process serves; return False if it ends before. Raises LocalError if it takes too long."""
        return await self.foundation.launcher.is_ready(name)

    async def start_all(self) -> None:
        """Start all processes that do not run, and wait until they serve. Raises LocalError."""
        stopped = [name for name in self.processes if name not in self.handles or self.handles[name].ended]
        await asyncio.gather(*(self.start_ready(name) for name in stopped))

    async def stop(self, name: str) -> None:
        """Stop a process with SIGTERM and wait for its end. Raises TestbedError if it does not drain."""
        if (await self.handles[name].stop()).killed:
            raise TestbedError(f"{name} did not drain within {STOP_SECONDS:.0f} s; see {self.log_path(name)}")

    async def finish(self, name: str, *, limit_seconds: float) -> None:
        """Let a process end its work with SIGTERM, and wait for its end. Raises TestbedError if it fails."""
        result = await self.handles[name].end_by(signal.SIGTERM, limit_seconds=limit_seconds)
        if result.status != 0:
            raise TestbedError(f"{name} {result.describe()}; see {self.log_path(name)}")

    async def kill(self, name: str) -> None:
        """Kill a process if it runs."""
        if name in self.handles:
            await self.handles[name].end_by(signal.SIGKILL, limit_seconds=STOP_SECONDS)

    async def kill_all(self) -> None:
        """Kill all processes that run."""
        for name in self.handles:
            await self.kill(name)

    def log_path(self, name: str) -> Path:
        """Return the log file of a process, to which each of its starts appends."""
        return self.options.log_paths.get(name, self.options.folder / "logs" / f"{name}.log")

    def admin_address(self, name: str) -> str:
        """Return the host:port of a process's metrics server."""
        address: str = json.loads(self.foundation.launcher.ready_file(name).read_bytes())["admin"]
        return address

    def verify_target(self) -> VerifyTarget:
        """Return what `plumb verify` checks once the platform is quiescent."""
        event_log = self.foundation.event_log
        return VerifyTarget(
            databases=self.foundation.databases,
            event_log_url=event_log.url,
            event_log_allow_unsafe_sync=event_log.allow_unsafe_sync,
            shard_event_log_urls=event_log.shard_urls,
            notifications_directory=self.foundation.options.notifications_directory,
        )

    async def wipe_log(self) -> None:
        """Delete all events of the event logs, which are other logs afterwards. Raises LocalError."""
        if self.foundation.nats is not None:
            await self.foundation.nats.wipe()
        else:
            for name in self._event_logs:
                # Lock the head first, as every append does: the other order would deadlock.
                await self.execute(name, "DELETE FROM event_log_head; DELETE FROM event_log")

    async def truncate_log(self, events: int) -> None:
        """Delete the last events of each event log in PostgreSQL, as restoring an older backup does."""
        # Purpose: make head and rows consistent, without the events acknowledged since.
        delete = "DELETE FROM event_log WHERE position > (SELECT max(position) FROM event_log) - $1"
        update = "UPDATE event_log_head SET position = coalesce((SELECT max(position) FROM event_log), 0)"
        for name in self._event_logs:
            async with self._connected(name) as connection, connection.transaction():
                await connection.execute("SELECT FROM event_log_head FOR UPDATE")
                await connection.execute(delete, events)
                await connection.execute(update)

    async def end_lease(self) -> None:
        """End the relays' leases, since their holder is dead, so that the next relays start without a wait."""
        for name in self.order_databases:
            await self.execute(name, "UPDATE relay SET lease_end_time = '-infinity'")

    async def execute(self, database: str, sql: str, *arguments: object) -> None:
        """Run a statement in one of the shop's databases."""
        async with self._connected(database) as connection:
            await connection.execute(sql, *arguments)

    async def fetch(self, database: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Read rows from one of the shop's databases."""
        async with self._connected(database) as connection:
            return await connection.fetch(sql, *arguments)

    async def fetch_number(self, database: str, sql: str, *arguments: object) -> int:
        """Read one number from one of the shop's databases."""
        ((number,),) = await self.fetch(database, sql, *arguments)
        return int(number)

    async def fetch_from_orders(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Read rows from the databases of all servers of orders, in their order."""
        return [row for name in self.order_databases for row in await self.fetch(name, sql, *arguments)]

    @property
    def order_databases(self) -> list[str]:
        """Names of the databases of orders, in the order of their servers."""
        return order_databases(self.foundation.databases)

    @property
    def _event_logs(self) -> list[str]:
        return [name for name in self.foundation.databases if name.startswith("event_log")]

    @asynccontextmanager
    async def _connected(self, database: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        connection = await asyncpg.connect(self.foundation.databases[database], timeout=CONNECT_SECONDS)
        try:
            yield connection
        finally:
            await connection.close(timeout=CONNECT_SECONDS)

    @asynccontextmanager
    async def api_clients(self) -> AsyncIterator[tuple[ApiClient, ApiClient]]:
        """Open clients of the public APIs during a with block."""
        edge_http, order_grpc = str(local_address(self.ports.edge_http)), str(local_address(self.ports.order_grpc))
        async with open_api_clients(edge_http=edge_http, order_grpc=order_grpc) as apis:
            yield apis

    @asynccontextmanager
    async def stock(self) -> AsyncIterator[InventoryClient]:
        """Open inventory's own gRPC during a with block."""
        target = str(local_address(self.ports.inventory_grpc))
        async with open_channel(target) as channel:
            yield InventoryClient(channel, target=target, telemetry=unobserved("chaos"), guarded=False)


def free_port_base() -> int:
    """Return the first port of a free range as long as the platform needs. Raises PortTaken if none is found."""
    for _ in range(PORT_ATTEMPTS):
        base = random.choice(PORTS)
        try:
            documented_ports(base)
        except PortTaken:
            continue
        return base
    raise PortTaken(f"no {len(PURPOSES)} free ports in a row were found in {PORT_ATTEMPTS} attempts")

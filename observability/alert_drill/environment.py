"""Shared environment of the drill's cases: a platform under load, and a new Prometheus for each case."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from observability.alert_drill.fault_context import FaultContext
from observability.chaos import shard_mover
from observability.chaos.campaign_context import until
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.load.arrival_plan import plan_orders
from observability.load.client import open_client
from observability.load.open_loop import drive
from observability.load.options import LoadOptions
from observability.load.recorder import Run
from observability.load.stock_plan import ample_stock
from observability.load.stocking import stock_shop
from observability.testbed.errors import TestbedError
from observability.testbed.monitoring.client import PrometheusClient
from observability.testbed.monitoring.exporter import postgres_exporter
from observability.testbed.monitoring.servers import MonitoringOptions, monitoring
from observability.testbed.monitoring.webhook import Webhook, webhook
from observability.testbed.process_group import MOVER_PROCESS, ProcessGroup
from services.local.servers.ports import local_address

# Abandoned reservations expire within their case.
SETTINGS = {
    "INVENTORY_RESERVATION_TTL_SECONDS": "10",
    # Only inventory reads the replica: other cases are about orders and lists that are read on the primary.
    "ORDER_REPLICA_DSNS": "",
    "ORDER_READ_REPLICA_DSNS": "",
    "ORDER_SHARD_REPLICA_DSNS": "",
}
# Faults replace the mail client of notification, and run the mover of logical shards.
MODULES = {"notification": "observability.alert_drill.notification_process", MOVER_PROCESS: shard_mover.__name__}
ALWAYS = "ShopWatchdog"
WELL_SECONDS = 120.0
PLAN_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOptions:
    """Options of a drill.

    folder: where it writes.
    scale: speed of the rules; at 60 a minute of the rules is a second.
    rate_per_second: load, in orders a second.
    healthy_seconds: time without a fault at the start of each case.
    seed: fixes the orders.
    """

    folder: Path
    scale: int
    rate_per_second: float
    healthy_seconds: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillEnvironment:
    """The platform, the webhook that receives the alerts, and the scrape targets: host:port by job."""

    options: DrillOptions
    group: ProcessGroup
    webhook: Webhook
    targets: Mapping[str, str]

    @staticmethod
    @asynccontextmanager
    async def open(options: DrillOptions, *, shards: int = 1) -> AsyncIterator["DrillEnvironment"]:
        """Run the platform under load during a with block; `shards` is the number of servers of orders.

        Raises LocalError, TestbedError, LoadError.
        """
        platform = CampaignPlatformOptions(shards=shards, replicas=1)
        group_options = platform.process_group(options.folder, environment=SETTINGS, modules=MODULES)
        async with AsyncExitStack() as stack:
            group = await stack.enter_async_context(ProcessGroup.open(group_options))
            listener = await stack.enter_async_context(webhook())
            await group.start_all()
            server = group.foundation.postgres
            if server is None:
                raise TestbedError("a PostgreSQL given by PLUMB_POSTGRES_DSN must not be broken: unset the variable")
            exporter = await stack.enter_async_context(postgres_exporter(server.admin_dsn, options.folder / "logs"))
            await stack.enter_async_context(under_load(group, options))
            targets = {name: group.admin_address(name) for name in group.processes}
            targets |= {"receiver": group.foundation.otlp_http, **exporter}
            yield DrillEnvironment(options=options, group=group, webhook=listener, targets=targets)

    @asynccontextmanager
    async def watched(self, *, healthy: bool = True) -> AsyncIterator[FaultContext]:
        """Run an empty Prometheus and Alertmanager during a with block, which starts once every target is scraped.

        healthy: whether the block waits until no alert is active, too. Raises TestbedError.
        """
        self.webhook.notices.clear()
        options = MonitoringOptions(
            targets=self.targets,
            logs_directory=self.options.folder / "logs",
            scale=self.options.scale,
            webhook_url=self.webhook.url,
        )
        async with monitoring(options) as running:
            prometheus = PrometheusClient(running.prometheus)
            await until("every target is scraped", partial(_all_up, prometheus), limit_seconds=WELL_SECONDS)
            if healthy:
                await self._until_no_alert(prometheus)
            yield FaultContext(group=self.group, monitoring=running, webhook=self.webhook)

    async def _until_no_alert(self, prometheus: PrometheusClient) -> None:
        """Wait until no alert is active and the end of each earlier one was notified. Raises TestbedError."""
        left: set[str] = set()

        async def is_well() -> bool:
            alerts = {name for name, _ in await prometheus.alerts()}
            began, ended = (self.fired(firing=firing) for firing in (True, False))
            left.clear()
            left.update(alerts ^ {ALWAYS}, began - ended)
            return not left

        try:
            await until("no alert is active", is_well, limit_seconds=WELL_SECONDS)
        except TestbedError as error:
            raise TestbedError(f"{error}; left are {', '.join(sorted(left))}") from error

    def fired(self, *, since: float = 0.0, firing: bool = True) -> set[str]:
        """Return the alerts, except ShopWatchdog, that were notified since a time as started, or as ended."""
        notified = {each.alert for each in self.webhook.notices if each.firing is firing and each.seconds >= since}
        return notified - {ALWAYS}


async def _all_up(prometheus: PrometheusClient) -> bool:
    down = await prometheus.instant("count(up) - sum(up)")
    return bool(down) and down[0].values == (0.0,)


@asynccontextmanager
async def under_load(group: ProcessGroup, options: DrillOptions) -> AsyncIterator[None]:
    """Place orders at a steady rate, open loop, during a with block; the same plan is repeated."""
    edge = str(local_address(group.ports.edge_http))
    plan = plan_orders(rate_per_second=options.rate_per_second, duration_seconds=PLAN_SECONDS, seed=options.seed)
    skus = ample_stock(line.sku for order in plan for line in order.lines)
    await stock_shop(str(local_address(group.ports.inventory_grpc)), skus, request_id_prefix="drill")
    stop = asyncio.Event()

    async def load() -> None:
        for lap in count():
            lap_options = LoadOptions(target=edge, seed=options.seed, run_nonce=f"drill-{lap}")
            async with open_client(lap_options) as client:
                run = Run(plan=plan, client=client, on_progress=None)
                run.stop = stop
                await drive(run)
            if stop.is_set():
                return

    background_task = asyncio.create_task(load())
    try:
        yield
    finally:
        stop.set()
        await background_task

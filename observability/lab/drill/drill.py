"""Does each alert fire when it should, and only then? Row by row: an empty Prometheus, all well, a fault, its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from observability.lab.catalogue import ample_stock
from observability.lab.chaos.house import House, HouseOptions
from observability.lab.chaos.scene import until
from observability.lab.client import open_client
from observability.lab.drill.expressions import Expressions
from observability.lab.drill.faults import LONGEST_SECONDS, Fault
from observability.lab.drill.scene import Scene
from observability.lab.monitoring.client import PrometheusClient
from observability.lab.monitoring.servers import MonitoringOptions, monitoring
from observability.lab.monitoring.webhook import Notice, Webhook, webhook
from observability.lab.open_loop import drive
from observability.lab.options import LoadOptions
from observability.lab.run import Run
from observability.lab.schedule import plan_orders
from observability.lab.stocking import stock_shop
from services.local.ports import HOST

# Stock that is set aside and forgotten comes back within the row.
SETTINGS = {"INVENTORY_RESERVATION_TTL_SECONDS": "10"}
ALWAYS = "ShopWatchdog"
POLL_SECONDS = 0.1
# An alert that was set off must end within so long of the fault's end: an order's next attempt may be a minute away.
CLEAR_SECONDS = 180.0
WELL_SECONDS = 120.0
PLAN_SECONDS = 600.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOptions:
    """The pace (60: a minute of the rules is a second), the load in orders a second, and how long all is well first."""

    folder: Path
    scale: int
    rate_per_second: float
    healthy_seconds: float
    seed: int


@dataclass(slots=True, kw_only=True)
class Row:
    """What one fault did: seconds until its alert arrived and until it was over; what arrived unasked."""

    alert: str
    fault: str
    severity: str = ""
    detected_seconds: float | None = None
    cleared_seconds: float | None = None
    before: list[str] = field(default_factory=list)
    collateral: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether it was quiet, fired, and ended; the alert that always fires does not end."""
        ended = self.cleared_seconds is not None or self.alert == ALWAYS
        return not self.before and self.detected_seconds is not None and ended


@dataclass(slots=True)
class DrillResult:
    """All rows, what arrived in the healthy time at the end, and what the expressions found."""

    options: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    healthy: dict[str, Any] = field(default_factory=dict)
    expressions: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every row does and nothing fired while all was well."""
        return all(row.holds for row in self.rows) and not self.healthy.get("fired")

    def as_document(self) -> dict[str, Any]:
        """Return it as it is written."""
        return {**asdict(self), "holds": self.holds}


async def drill(options: DrillOptions, faults: Sequence[Fault], *, quiet_seconds: float, say: Say) -> DrillResult:
    """Carry the faults out one by one, then watch a healthy platform for a time. Raises LocalError, ChaosError."""
    result = DrillResult({**asdict(options), "folder": str(options.folder)})
    asked = Expressions.of_platform(scale=options.scale)
    house_options = HouseOptions(folder=options.folder, mode="services", bus="postgres", environment=SETTINGS)
    async with House.open(house_options) as house, webhook() as listener:
        await house.start_all()
        async with under_load(house, options):
            for fault in faults:
                row = await one_row(options, fault, house, listener, asked)
                result.rows.append(row)
                say(sentence(row))
            if quiet_seconds:
                result.healthy = await stay_healthy(options, house, listener, quiet_seconds)
                say(f"{quiet_seconds:.0f} s of healthy load: {', '.join(result.healthy['fired']) or 'no alert'}")
    result.expressions = asked.as_document()
    return result


async def one_row(options: DrillOptions, fault: Fault, house: House, listener: Webhook, asked: Expressions) -> Row:
    """Start from an empty Prometheus, let all be well for a time, break one thing, and put it right."""
    row, began = Row(alert=fault.alert, fault=fault.words), time.time()
    async with watched(options, house, listener) as scene:
        well = time.monotonic()
        await asyncio.sleep(options.healthy_seconds)
        row.before = sorted(fired(listener, since=well))
        broken = time.monotonic()
        async with fault.begin(scene):
            notice = await seen(listener, fault.alert, firing=True, since=0.0 if fault.alert == ALWAYS else broken)
            if notice is not None:
                row.severity, row.detected_seconds = notice.severity, round(max(0.0, notice.seconds - broken), 1)
        mended = time.monotonic()
        if row.detected_seconds is not None and fault.alert != ALWAYS:
            notice = await seen(listener, fault.alert, firing=False, since=mended, limit_seconds=CLEAR_SECONDS)
            row.cleared_seconds = None if notice is None else round(notice.seconds - mended, 1)
        row.collateral = sorted(fired(listener, since=broken) - {fault.alert})
        await asked.ask(PrometheusClient(scene.monitoring.prometheus), start=began, end=time.time())
    return row


async def stay_healthy(options: DrillOptions, house: House, listener: Webhook, seconds: float) -> dict[str, Any]:
    """Watch without a fault; return for how long, and what fired."""
    async with watched(options, house, listener):
        well = time.monotonic()
        await asyncio.sleep(seconds)
        return {"seconds": seconds, "fired": sorted(fired(listener, since=well))}


@asynccontextmanager
async def watched(options: DrillOptions, house: House, listener: Webhook) -> AsyncIterator[Scene]:
    """Watch the platform with a Prometheus and an Alertmanager that know nothing yet, and tell the webhook."""
    listener.notices.clear()
    targets = {name: house.admin_address(name) for name in house.processes} | {"receiver": house.foundation.otlp_http}
    monitoring_options = MonitoringOptions(
        targets=targets,
        logs_directory=options.folder / "logs",
        scale=options.scale,
        webhook_url=listener.url,
    )
    async with monitoring(monitoring_options) as running:
        await until_well(PrometheusClient(running.prometheus), listener)
        yield Scene(house=house, monitoring=running, webhook=listener)


async def until_well(prometheus: PrometheusClient, listener: Webhook) -> None:
    """Wait until every target was scraped and no alert is left of the time before. Raises ChaosError."""

    async def is_well() -> bool:
        down = await prometheus.instant("count(up) - sum(up)")
        alerts = {name for name, _ in await prometheus.alerts()}
        began, ended = (fired(listener, firing=firing) for firing in (True, False))
        return bool(down) and down[0].values == (0.0,) and alerts == {ALWAYS} and began <= ended

    await until("every target is scraped and no alert is active", is_well, limit_seconds=WELL_SECONDS)


@asynccontextmanager
async def under_load(house: House, options: DrillOptions) -> AsyncIterator[None]:
    """Place orders at a steady rate, open loop, for the time of a block: the same plan again and again."""
    edge = f"{HOST}:{house.ports.edge_http}"
    plan = plan_orders(rate_per_second=options.rate_per_second, duration_seconds=PLAN_SECONDS, seed=options.seed)
    skus = ample_stock(line.sku for order in plan for line in order.lines)
    await stock_shop(f"{HOST}:{house.ports.inventory_grpc}", skus, request_id_prefix="drill")
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

    going_on = asyncio.create_task(load())
    try:
        yield
    finally:
        stop.set()
        await going_on


async def seen(
    listener: Webhook, alert: str, *, firing: bool, since: float, limit_seconds: float = LONGEST_SECONDS
) -> Notice | None:
    """Wait for a notice; None when it does not come in time."""
    ends = time.monotonic() + limit_seconds
    notice = listener.first(alert, firing=firing, since=since)
    while notice is None and time.monotonic() < ends:
        await asyncio.sleep(POLL_SECONDS)
        notice = listener.first(alert, firing=firing, since=since)
    return notice


def fired(listener: Webhook, *, since: float = 0.0, firing: bool = True) -> set[str]:
    """Return the alerts but the one that always fires that were told of since a time, as begun or as ended."""
    told = {each.alert for each in listener.notices if each.firing is firing and each.seconds >= since}
    return told - {ALWAYS}


def sentence(row: Row) -> str:
    """Say what a row came to."""
    if row.before:
        return f"{row.alert}: fired before the fault: {', '.join(row.before)}"
    if row.detected_seconds is None:
        return f"{row.alert}: NOT DETECTED ({row.fault})"
    cleared = (
        "always fires"
        if row.alert == ALWAYS
        else ("NOT CLEARED" if row.cleared_seconds is None else f"cleared after {row.cleared_seconds:.1f} s")
    )
    beside = f"; beside it {', '.join(row.collateral)}" if row.collateral else ""
    return f"{row.alert}: {row.severity}, detected after {row.detected_seconds:.1f} s, {cleared}{beside}"

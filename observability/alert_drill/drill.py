"""Alert drill: injects one fault at a time into a healthy platform, and measures when its alert fires and clears."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from observability.alert_drill.environment import ALWAYS, DrillEnvironment, DrillOptions
from observability.alert_drill.expressions import Expressions
from observability.alert_drill.faults.registry import LONGEST_SECONDS, SHARD_FAULTS, Fault
from observability.testbed.monitoring.client import PrometheusClient
from observability.testbed.monitoring.webhook import Notice, Webhook

POLL_SECONDS = 0.1
# An alert must end within this time after its fault: an order's next attempt may be a minute away.
CLEAR_SECONDS = 180.0
# Faults of logical shards need a platform with several servers of orders.
SERVERS_OF_ORDERS = 2

Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class DrillCase:
    """Result of one fault.

    alert: the alert that must fire.
    fault: what was done, in words.
    severity: of the alert that fired; "" if it did not.
    detected_seconds: from the fault to the alert; None if it did not fire.
    cleared_seconds: from the end of the fault to that of the alert; None if it did not end.
    before: alerts that fired before the fault.
    collateral: other alerts that fired with it.
    """

    alert: str
    fault: str
    severity: str = ""
    detected_seconds: float | None = None
    cleared_seconds: float | None = None
    before: list[str] = field(default_factory=list)
    collateral: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether no alert fired before the fault, and the case's alert fired and ended; ShopWatchdog never ends."""
        ended = self.cleared_seconds is not None or self.alert == ALWAYS
        return not self.before and self.detected_seconds is not None and ended


@dataclass(slots=True)
class DrillResult:
    """Result of a drill.

    options: how it was run.
    rows: its cases.
    healthy: length of the healthy time at the end, and the alerts that fired in it.
    expressions: which expressions found data.
    """

    options: dict[str, Any]
    rows: list[DrillCase] = field(default_factory=list)
    healthy: dict[str, Any] = field(default_factory=dict)
    expressions: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every case holds and no alert fired in the healthy time."""
        return all(case.holds for case in self.rows) and not self.healthy.get("fired")

    def as_document(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
        return {**asdict(self), "holds": self.holds}


async def drill(options: DrillOptions, faults: Sequence[Fault], *, quiet_seconds: float, say: Say) -> DrillResult:
    """Run a case for each fault, then watch a healthy platform. Raises as `DrillEnvironment.open` does."""
    result = DrillResult({**asdict(options), "folder": str(options.folder)})
    expressions = Expressions.of_platform(scale=options.scale)
    of_shards = [fault for fault in faults if fault in SHARD_FAULTS]
    others = [fault for fault in faults if fault not in SHARD_FAULTS]

    async def run(environment: DrillEnvironment, chosen: Sequence[Fault]) -> None:
        for fault in chosen:
            case = await run_case(environment, fault, expressions)
            result.rows.append(case)
            say(sentence(case))

    if of_shards:
        async with DrillEnvironment.open(options, shards=SERVERS_OF_ORDERS) as environment:
            await run(environment, of_shards)
    if others or quiet_seconds:
        async with DrillEnvironment.open(options) as environment:
            await run(environment, others)
            if quiet_seconds:
                result.healthy = await stay_healthy(environment, quiet_seconds)
                say(f"{quiet_seconds:.0f} s of healthy load: {', '.join(result.healthy['fired']) or 'no alert'}")
    result.expressions = expressions.as_document()
    return result


async def run_case(environment: DrillEnvironment, fault: Fault, expressions: Expressions) -> DrillCase:
    """Start an empty Prometheus, wait for a healthy time, apply the fault until its alert fires, and end it."""
    case, listener, began = DrillCase(alert=fault.alert, fault=fault.words), environment.webhook, time.time()
    async with environment.watched() as context:
        well = time.monotonic()
        await asyncio.sleep(environment.options.healthy_seconds)
        case.before = sorted(environment.fired(since=well))
        broken = time.monotonic()
        async with fault.begin(context):
            notice = await seen(listener, fault.alert, firing=True, since=0.0 if fault.alert == ALWAYS else broken)
            if notice is not None:
                case.severity, case.detected_seconds = notice.severity, round(max(0.0, notice.seconds - broken), 1)
        mended = time.monotonic()
        if case.detected_seconds is not None and fault.alert != ALWAYS:
            notice = await seen(listener, fault.alert, firing=False, since=mended, limit_seconds=CLEAR_SECONDS)
            case.cleared_seconds = None if notice is None else round(notice.seconds - mended, 1)
        case.collateral = sorted(environment.fired(since=broken) - {fault.alert})
        await expressions.evaluate(PrometheusClient(context.monitoring.prometheus), start=began, end=time.time())
    return case


async def stay_healthy(environment: DrillEnvironment, seconds: float) -> dict[str, Any]:
    """Watch without a fault; return the time and the alerts that fired."""
    async with environment.watched():
        well = time.monotonic()
        await asyncio.sleep(seconds)
        return {"seconds": seconds, "fired": sorted(environment.fired(since=well))}


async def run_lanes(
    environment: DrillEnvironment,
    lanes: Sequence[Sequence[tuple[Fault, float]]],
    expressions: Expressions,
    *,
    say: Say,
) -> None:
    """Apply the faults of all lanes side by side, each for so many seconds, and evaluate the expressions over them.

    The faults of one lane follow each other. The expressions need scraped data, not a healthy platform: alerts that a
    slow machine raises do no harm.
    """
    began = time.time()
    async with environment.watched(healthy=False) as context:

        async def run(lane: Sequence[tuple[Fault, float]]) -> None:
            for fault, seconds in lane:
                say(fault.words)
                async with fault.begin(context):
                    await asyncio.sleep(seconds)

        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(run(lane))
        await expressions.evaluate(PrometheusClient(context.monitoring.prometheus), start=began, end=time.time())


async def seen(
    listener: Webhook, alert: str, *, firing: bool, since: float, limit_seconds: float = LONGEST_SECONDS
) -> Notice | None:
    """Wait for a notice of an alert, and return it; None if it does not come in time."""
    ends = time.monotonic() + limit_seconds
    notice = listener.first(alert, firing=firing, since=since)
    while notice is None and time.monotonic() < ends:
        await asyncio.sleep(POLL_SECONDS)
        notice = listener.first(alert, firing=firing, since=since)
    return notice


def sentence(case: DrillCase) -> str:
    """Return a line with a case's result."""
    if case.before:
        return f"{case.alert}: fired before the fault: {', '.join(case.before)}"
    if case.detected_seconds is None:
        return f"{case.alert}: NOT DETECTED ({case.fault})"
    cleared = (
        "always fires"
        if case.alert == ALWAYS
        else ("NOT CLEARED" if case.cleared_seconds is None else f"cleared after {case.cleared_seconds:.1f} s")
    )
    beside = f"; beside it {', '.join(case.collateral)}" if case.collateral else ""
    return f"{case.alert}: {case.severity}, detected after {case.detected_seconds:.1f} s, {cleared}{beside}"

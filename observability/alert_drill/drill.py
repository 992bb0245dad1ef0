"""Does each alert fire when it should, and only then? Row by row: an empty Prometheus, all well, a fault, its end."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from observability.alert_drill.environment import ALWAYS, DrillEnvironment, DrillOptions
from observability.alert_drill.expressions import Expressions
from observability.alert_drill.faults.registry import LONGEST_SECONDS, Fault
from observability.testbed.monitoring.client import PrometheusClient
from observability.testbed.monitoring.webhook import Notice, Webhook

POLL_SECONDS = 0.1
# An alert that was set off must end within so long of the fault's end: an order's next attempt may be a minute away.
CLEAR_SECONDS = 180.0

Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class DrillCase:
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
    rows: list[DrillCase] = field(default_factory=list)
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
    """Carry the faults out one by one, then watch a healthy platform for a time. Raises as `Stage.open` does."""
    result = DrillResult({**asdict(options), "folder": str(options.folder)})
    asked = Expressions.of_platform(scale=options.scale)
    async with DrillEnvironment.open(options) as stage:
        for fault in faults:
            row = await one_row(stage, fault, asked)
            result.rows.append(row)
            say(sentence(row))
        if quiet_seconds:
            result.healthy = await stay_healthy(stage, quiet_seconds)
            say(f"{quiet_seconds:.0f} s of healthy load: {', '.join(result.healthy['fired']) or 'no alert'}")
    result.expressions = asked.as_document()
    return result


async def one_row(stage: DrillEnvironment, fault: Fault, asked: Expressions) -> DrillCase:
    """Start from an empty Prometheus, let all be well for a time, break one thing, and put it right."""
    row, listener, began = DrillCase(alert=fault.alert, fault=fault.words), stage.webhook, time.time()
    async with stage.watched() as scene:
        well = time.monotonic()
        await asyncio.sleep(stage.options.healthy_seconds)
        row.before = sorted(stage.fired(since=well))
        broken = time.monotonic()
        async with fault.begin(scene):
            notice = await seen(listener, fault.alert, firing=True, since=0.0 if fault.alert == ALWAYS else broken)
            if notice is not None:
                row.severity, row.detected_seconds = notice.severity, round(max(0.0, notice.seconds - broken), 1)
        mended = time.monotonic()
        if row.detected_seconds is not None and fault.alert != ALWAYS:
            notice = await seen(listener, fault.alert, firing=False, since=mended, limit_seconds=CLEAR_SECONDS)
            row.cleared_seconds = None if notice is None else round(notice.seconds - mended, 1)
        row.collateral = sorted(stage.fired(since=broken) - {fault.alert})
        await asked.ask(PrometheusClient(scene.monitoring.prometheus), start=began, end=time.time())
    return row


async def stay_healthy(stage: DrillEnvironment, seconds: float) -> dict[str, Any]:
    """Watch without a fault; return for how long, and what fired."""
    async with stage.watched():
        well = time.monotonic()
        await asyncio.sleep(seconds)
        return {"seconds": seconds, "fired": sorted(stage.fired(since=well))}


async def run_sequence(stage: DrillEnvironment, faults: Sequence[tuple[Fault, float]], *, say: Say) -> Expressions:
    """Let faults follow each other, each for so many seconds; return what every expression found meanwhile."""
    asked, began = Expressions.of_platform(scale=stage.options.scale), time.time()
    async with stage.watched() as scene:
        for fault, seconds in faults:
            say(fault.words)
            async with fault.begin(scene):
                await asyncio.sleep(seconds)
        await asked.ask(PrometheusClient(scene.monitoring.prometheus), start=began, end=time.time())
    return asked


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


def sentence(row: DrillCase) -> str:
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

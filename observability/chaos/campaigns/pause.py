"""What if a process stands still at the worst moment and goes on as if nothing had happened?

Two order processes compete. One stops itself (SIGSTOP) at a point where it holds a stale batch, claimed orders or a
lock; the other takes over; then the first goes on (SIGCONT), and must change nothing any more.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from observability.chaos.campaign_context import CampaignContext, Say, is_written, until
from observability.chaos.campaign_report import Report
from observability.chaos.history import History
from observability.testbed.errors import TestbedError
from observability.testbed.process_group import QUICK, SECOND_ORDER, ProcessGroup, ProcessGroupOptions
from observability.testbed.program import ProcessHandle
from services.local.platform.endpoints import Bus

# A lease, the wait of who does not have it, and a transaction that stands still until PostgreSQL ends it (10 s).
TAKEOVER_SECONDS = 30.0
STOP_SECONDS = 30.0
WAKE_SECONDS = 20.0
# A driver may find that another has claimed what was due: then it stands still with nothing, and stops once more.
MOST_ATTEMPTS = 5
EPOCH = "SELECT epoch FROM relay"
CLAIMED = "SELECT order_id FROM sagas WHERE epoch > 0 AND due_time > clock_timestamp()"
STILL_THERE = "SELECT count(*) FROM sagas WHERE order_id = ANY($1)"
# An attempt of the driver that lives is over by then, and the lease of the one that stands still is not.
ATTEMPT_SECONDS = 0.7
UNPUBLISHED = """
    SELECT count(*) FROM outbox JOIN events USING (stream_id, version)
    WHERE occur_time < clock_timestamp() - interval '5 seconds'"""


@dataclass(frozen=True, slots=True)
class Pause:
    """Where a process stops: at a passage of a point, with something in its hands.

    `is_relay`: the lease must pass on meanwhile. `is_fenced`: when it goes on it is refused, which it counts; where it
    stops inside a transaction, PostgreSQL has ended that before, and its commit fails.
    """

    point: str
    holds: str
    is_relay: bool
    is_fenced: bool
    only_bus: Bus | None = None
    passage: int = 1


PAUSES = (
    Pause("relay.before_append", "a batch to append", is_relay=True, is_fenced=True, passage=3),
    Pause("relay.after_append", "a batch to take out of the outbox", is_relay=True, is_fenced=True, passage=3),
    Pause("event_log.append.before_commit", "the lock of the log's head", True, False, "postgres", 3),
    Pause("relay.mark_published.before_commit", "the lock of the lease", is_relay=True, is_fenced=False, passage=3),
    Pause("claim_sagas.after_commit", "orders to finish", is_relay=False, is_fenced=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseOptions:
    """The campaign's options; `most` limits the pauses, in the order of PAUSES."""

    bus: Bus
    seed: int
    most: int = len(PAUSES)


async def pause(options: PauseOptions, folder: Path, say: Say) -> Report:
    """Carry the campaign out. Raises LocalError, TestbedError."""
    report = Report("pause", asdict(options))
    chosen = [each for each in PAUSES if each.only_bus in {None, options.bus}][: options.most]
    house_options = ProcessGroupOptions(folder=folder, mode="services", bus=options.bus, environment=QUICK)
    async with ProcessGroup.open(house_options, more=(SECOND_ORDER,)) as group:
        scene = CampaignContext(group, History(), report, say)
        for name in ("inventory", "order", "notification"):
            await group.start_ready(name)
        async with scene.under_load(seed=options.seed):
            report.figures["pauses"] = [await _carry_out(scene, each) for each in chosen]
        return await scene.conclude()


async def _carry_out(scene: CampaignContext, planned: Pause) -> dict[str, Any]:
    scene.say(f"one of two order processes stops at {planned.point}, with {planned.holds} in its hands")
    for _ in range(MOST_ATTEMPTS):
        async with _standing_still(scene, planned) as life:
            told = await (_lease_passes if planned.is_relay else _orders_pass)(scene, planned, life)
            if told is not None:
                return {"point": planned.point, **told}
    raise TestbedError(f"{MOST_ATTEMPTS} times a process stopped at {planned.point} and held nothing")


@asynccontextmanager
async def _standing_still(scene: CampaignContext, planned: Pause) -> AsyncIterator[ProcessHandle]:
    """Let the second process lead, and stop; at the end of the block it drains and ends."""
    group, stopped = scene.group, scene.group.options.folder / "stopped.txt"
    # Who has the lease keeps it, so the first process makes room for a moment.
    await group.kill("order")
    await group.end_lease()
    life = await group.start_ready(SECOND_ORDER, **_arming(planned, stopped))
    try:
        await group.start_ready("order")
        await until(f"a process stops at {planned.point}", lambda: is_written(stopped), limit_seconds=STOP_SECONDS)
        yield life
        life.send(signal.SIGCONT)
        await group.stop(SECOND_ORDER)
    finally:
        await group.kill(SECOND_ORDER)
        stopped.unlink(missing_ok=True)


async def _lease_passes(scene: CampaignContext, planned: Pause, life: ProcessHandle) -> dict[str, Any]:
    """See the other relay publish, then the first one refused."""
    group = scene.group
    before = await group.fetch_number("order", EPOCH)

    async def taken_over() -> bool:
        return await group.fetch_number("order", EPOCH) > before and not await group.fetch_number("order", UNPUBLISHED)

    async def refused() -> bool:
        return await scene.counter(SECOND_ORDER, "shop_relay_fenced", context="order") > 0

    seconds = await until("the other relay publishes", taken_over, limit_seconds=TAKEOVER_SECONDS)
    life.send(signal.SIGCONT)
    if planned.is_fenced:
        await until("the first relay is fenced", refused, limit_seconds=WAKE_SECONDS)
    return {
        "epochs": [before, await group.fetch_number("order", EPOCH)],
        "fenced": int(planned.is_fenced),
        "taken_over_after_seconds": round(seconds, 2),
    }


async def _orders_pass(scene: CampaignContext, _planned: Pause, life: ProcessHandle) -> dict[str, Any] | None:
    """See the other driver finish what the first one has claimed; None when that is nothing."""
    group = scene.group
    first = {row["order_id"] for row in await group.fetch("order", CLAIMED)}
    await asyncio.sleep(ATTEMPT_SECONDS)
    claimed = first & {row["order_id"] for row in await group.fetch("order", CLAIMED)}
    if not claimed:
        return None

    async def finished() -> bool:
        return await group.fetch_number("order", STILL_THERE, list(claimed)) == 0

    seconds = await until("the other driver finishes the orders", finished, limit_seconds=TAKEOVER_SECONDS)
    life.send(signal.SIGCONT)
    return {"orders": len(claimed), "taken_over_after_seconds": round(seconds + ATTEMPT_SECONDS, 2)}


def _arming(planned: Pause, stopped: Path) -> dict[str, str]:
    return {
        "PLUMB_CRASH_POINT": planned.point,
        "PLUMB_CRASH_PASSAGE": str(planned.passage),
        "PLUMB_CRASH_SIGNAL": "SIGSTOP",
        "PLUMB_CRASH_LOG": str(stopped.resolve()),
    }

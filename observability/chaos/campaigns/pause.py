"""Pause campaign: a process is paused at a critical point, and resumes after another one has taken over.

Two order processes compete. One stops itself (SIGSTOP) at a point where it holds a batch, claimed orders or a lock. The
other takes over. Then the first resumes (SIGCONT), and must not change anything (fencing).
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
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.testbed.errors import TestbedError
from observability.testbed.process_group import QUICK, SECOND_ORDER, ProcessGroup
from services.local.platform.endpoints import Bus
from services.local.processes.child_process import ChildProcess

# A lease, the wait of the process without it, and an idle transaction until PostgreSQL ends it (10 s).
TAKEOVER_SECONDS = 30.0
STOP_SECONDS = 30.0
WAKE_SECONDS = 20.0
# A saga worker may stop without any orders, since the other one has claimed them: then the pause is repeated.
MOST_ATTEMPTS = 5
# Each server of orders has a relay of its own, so epochs are compared by their sum.
EPOCH = "SELECT epoch FROM relay"
CLAIMED = "SELECT order_id FROM sagas WHERE epoch > 0 AND due_time > clock_timestamp()"
STILL_THERE = "SELECT FROM sagas WHERE order_id = ANY($1)"
# By then an attempt of the running worker is over, and the lease of the paused one is not.
ATTEMPT_SECONDS = 0.7
UNPUBLISHED = """
    SELECT FROM outbox JOIN events USING (stream_id, version)
    WHERE occur_time < clock_timestamp() - interval '5 seconds' LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Pause:
    """Where a process stops.

    point, passage: the crash point, and the number of the passage.
    holds: what the process holds there, for the output.
    is_relay: the relay's lease must pass to the other process meanwhile.
    is_fenced: after the resume its write is rejected and counted. False inside a transaction: PostgreSQL has ended it
        by then, so its commit fails.
    only_bus: the only bus with this point; None for both.
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
class PauseOptions(CampaignPlatformOptions):
    """Options of the campaign; `most` limits the pauses, in the order of PAUSES."""

    seed: int
    most: int = len(PAUSES)


async def pause(options: PauseOptions, folder: Path, say: Say) -> Report:
    """Run the campaign. Raises LocalError, TestbedError."""
    report = Report("pause", asdict(options))
    chosen = [each for each in PAUSES if each.only_bus in {None, options.bus}][: options.most]
    group_options = options.process_group(folder, environment=QUICK)
    async with ProcessGroup.open(group_options, more=(SECOND_ORDER,)) as group:
        context = CampaignContext(group, History(), report, say)
        for name in ("inventory", "order", "notification"):
            await group.start_ready(name)
        async with context.under_load(seed=options.seed):
            report.figures["pauses"] = [await _carry_out(context, each) for each in chosen]
        return await context.conclude()


async def _carry_out(context: CampaignContext, planned: Pause) -> dict[str, Any]:
    context.say(f"one of two order processes stops at {planned.point}, where it holds {planned.holds}")
    for _ in range(MOST_ATTEMPTS):
        async with _paused_leader(context, planned) as handle:
            figures = await (_lease_passes if planned.is_relay else _orders_pass)(context, planned, handle)
            if figures is not None:
                return {"point": planned.point, **figures}
    raise TestbedError(f"{MOST_ATTEMPTS} times a process stopped at {planned.point} and held nothing")


@asynccontextmanager
async def _paused_leader(context: CampaignContext, planned: Pause) -> AsyncIterator[ChildProcess]:
    """Make the second process the leader, and wait until it stops; at the end of the block it drains and ends."""
    group, stopped = context.group, context.group.options.folder / "stopped.txt"
    # A leader keeps its lease, so the first process is killed for a moment.
    await group.kill("order")
    await group.end_lease()
    handle = await group.start_ready(SECOND_ORDER, **_arming(planned, stopped))
    try:
        await group.start_ready("order")
        await until(f"a process stops at {planned.point}", lambda: is_written(stopped), limit_seconds=STOP_SECONDS)
        yield handle
        handle.send(signal.SIGCONT)
        await group.stop(SECOND_ORDER)
    finally:
        await group.kill(SECOND_ORDER)
        stopped.unlink(missing_ok=True)


async def _lease_passes(context: CampaignContext, planned: Pause, handle: ChildProcess) -> dict[str, Any]:
    """Wait until the other relay publishes, then resume the first one, which must be fenced."""
    group = context.group

    async def epochs() -> int:
        return sum(row["epoch"] for row in await group.fetch_from_orders(EPOCH))

    before = await epochs()

    async def taken_over() -> bool:
        return await epochs() > before and not await group.fetch_from_orders(UNPUBLISHED)

    async def fenced() -> bool:
        return await context.counter(SECOND_ORDER, "shop_relay_fenced", context="order") > 0

    seconds = await until("the other relay publishes", taken_over, limit_seconds=TAKEOVER_SECONDS)
    handle.send(signal.SIGCONT)
    if planned.is_fenced:
        await until("the first relay is fenced", fenced, limit_seconds=WAKE_SECONDS)
    return {
        "epochs": [before, await epochs()],
        "fenced": int(planned.is_fenced),
        "taken_over_after_seconds": round(seconds, 2),
    }


async def _orders_pass(context: CampaignContext, _planned: Pause, handle: ChildProcess) -> dict[str, Any] | None:
    """Wait until the other saga worker has finished the first one's orders; return None if it had claimed none."""
    group = context.group
    first = {row["order_id"] for row in await group.fetch_from_orders(CLAIMED)}
    await asyncio.sleep(ATTEMPT_SECONDS)
    claimed = first & {row["order_id"] for row in await group.fetch_from_orders(CLAIMED)}
    if not claimed:
        return None

    async def finished() -> bool:
        return not await group.fetch_from_orders(STILL_THERE, list(claimed))

    seconds = await until("the other saga worker finishes the orders", finished, limit_seconds=TAKEOVER_SECONDS)
    handle.send(signal.SIGCONT)
    return {"orders": len(claimed), "taken_over_after_seconds": round(seconds + ATTEMPT_SECONDS, 2)}


def _arming(planned: Pause, stopped: Path) -> dict[str, str]:
    return {
        "PLUMB_CRASH_POINT": planned.point,
        "PLUMB_CRASH_PASSAGE": str(planned.passage),
        "PLUMB_CRASH_SIGNAL": "SIGSTOP",
        "PLUMB_CRASH_LOG": str(stopped.resolve()),
    }

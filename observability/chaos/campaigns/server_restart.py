"""What if PostgreSQL ends, or the event log is emptied, in the middle of everything?"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from observability.chaos.campaign_context import CampaignContext, Say
from observability.chaos.campaign_report import Report
from observability.chaos.history import History
from observability.load.orders import stream
from observability.testbed.errors import TestbedError
from observability.testbed.process_group import QUICK, ProcessGroup, ProcessGroupOptions
from services.local.platform.endpoints import Bus, Mode

Break = Literal["postgres-restart", "broker-wipe", "broker-kill"]
# Between two breaks the load goes on for so long.
PAUSE_SECONDS = (2.0, 4.0)
# By then the log is filled again and the relay has noticed: it looks with each renewal of its lease.
HEAL_SECONDS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServersOptions:
    """The campaign's options: what is broken, and how often."""

    what: Break
    mode: Mode
    bus: Bus
    seed: int
    times: int


async def servers(options: ServersOptions, folder: Path, say: Say) -> Report:
    """Carry the campaign out. Raises LocalError, TestbedError."""
    report = Report(options.what, asdict(options))
    house_options = ProcessGroupOptions(folder=folder, mode=options.mode, bus=options.bus, environment=QUICK)
    async with ProcessGroup.open(house_options) as group:
        break_once = BREAKS[options.what]
        scene = CampaignContext(group, History(), report, say)
        await group.start_all()
        pauses = stream(options.seed, "breaks")
        async with scene.under_load(seed=options.seed):
            breaks = []
            for number in range(options.times):
                await asyncio.sleep(pauses.uniform(*PAUSE_SECONDS))
                breaks.append(await break_once(scene, number))
        report.figures["breaks"] = breaks
        await scene.conclude()
        if options.what == "broker-wipe":
            await _count_republished(scene, breaks)
        return report


async def _restart_postgres(scene: CampaignContext, number: int) -> dict[str, Any]:
    server = scene.group.foundation.postgres
    if server is None:
        raise TestbedError("a PostgreSQL that PLUMB_POSTGRES_DSN names is not ours to restart: unset it")
    how: Literal["fast", "immediate"] = "fast" if number % 2 == 0 else "immediate"
    scene.say(f"restarting PostgreSQL ({how})")
    began = scene.history.seconds()
    await server.restart(how=how)
    return {"how": how, "away_seconds": round(scene.history.seconds() - began, 2)}


async def _wipe_broker(scene: CampaignContext, _number: int) -> dict[str, Any]:
    events = await scene.group.fetch_number("order", "SELECT count(*) FROM events")
    scene.say(f"emptying the event log, after {events:,} events")
    await scene.group.wipe_log()
    await asyncio.sleep(HEAL_SECONDS)
    return {"events_before": events}


async def _kill_broker(scene: CampaignContext, _number: int) -> dict[str, Any]:
    broker = scene.group.foundation.nats
    if broker is None:
        raise TestbedError("an event log in PostgreSQL has no process of its own: choose --bus nats")
    scene.say("killing NATS")
    began = scene.history.seconds()
    await broker.kill_and_restart()
    return {"away_seconds": round(scene.history.seconds() - began, 2)}


async def _count_republished(scene: CampaignContext, breaks: list[dict[str, Any]]) -> None:
    """Each emptying must have made the relay publish at least what there was by then."""
    process = "monolith" if scene.group.options.mode == "monolith" else "order"
    republished = round(await scene.counter(process, "shop_relay_republished_events", context="order"))
    least = sum(each["events_before"] for each in breaks)
    scene.report.figures["republished_events"] = republished
    scene.report.expect(republished >= least, f"{republished} events were published again, and {least} had been lost")


BREAKS: dict[Break, Callable[[CampaignContext, int], Awaitable[dict[str, Any]]]] = {
    "postgres-restart": _restart_postgres,
    "broker-wipe": _wipe_broker,
    "broker-kill": _kill_broker,
}

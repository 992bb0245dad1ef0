"""Server restart campaigns: PostgreSQL restarts, NATS is killed, or the event log is emptied, under load."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from observability.chaos.campaign_context import CampaignContext, Say
from observability.chaos.campaign_report import Report
from observability.chaos.history import History
from observability.chaos.platform_options import CampaignPlatformOptions
from observability.load.orders import stream
from observability.testbed.errors import TestbedError
from observability.testbed.process_group import QUICK, ProcessGroup

Break = Literal["postgres-restart", "broker-wipe", "broker-kill"]
# Load between two breaks.
PAUSE_SECONDS = (2.0, 4.0)
# By then the relay has noticed, since it checks with each renewal of its lease, and has republished.
HEAL_SECONDS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServersOptions(CampaignPlatformOptions):
    """Options of the campaign; `what` is broken, so many `times`."""

    what: Break
    seed: int
    times: int


async def servers(options: ServersOptions, folder: Path, say: Say) -> Report:
    """Run the campaign. Raises LocalError, TestbedError."""
    report = Report(options.what, asdict(options))
    async with ProcessGroup.open(options.process_group(folder, environment=QUICK)) as group:
        break_once = BREAKS[options.what]
        context = CampaignContext(group, History(), report, say)
        await group.start_all()
        pauses = stream(options.seed, "breaks")
        async with context.under_load(seed=options.seed):
            breaks = []
            for number in range(options.times):
                await asyncio.sleep(pauses.uniform(*PAUSE_SECONDS))
                breaks.append(await break_once(context, number))
        report.figures["breaks"] = breaks
        await context.conclude()
        if options.what == "broker-wipe":
            await _count_republished(context, breaks)
        return report


async def _restart_postgres(context: CampaignContext, number: int) -> dict[str, Any]:
    """Restart the next PostgreSQL server; after all had a fast shutdown, all get an immediate one, in turn."""
    servers = context.group.foundation.postgres_servers
    if not servers:
        raise TestbedError("a PostgreSQL given by PLUMB_POSTGRES_DSN cannot be restarted here: unset the variable")
    server = servers[number % len(servers)]
    how: Literal["fast", "immediate"] = "fast" if number // len(servers) % 2 == 0 else "immediate"
    context.say(f"restarting {server.start.name} ({how})")
    began = context.history.seconds()
    await server.restart(how=how)
    return {"server": server.start.name, "how": how, "away_seconds": round(context.history.seconds() - began, 2)}


async def _wipe_broker(context: CampaignContext, _number: int) -> dict[str, Any]:
    counts = await context.group.fetch_from_orders("SELECT count(*) FROM events")
    events = sum(row["count"] for row in counts)
    context.say(f"emptying the event log, after {events:,} events")
    await context.group.wipe_log()
    await asyncio.sleep(HEAL_SECONDS)
    return {"events_before": events}


async def _kill_broker(context: CampaignContext, _number: int) -> dict[str, Any]:
    broker = context.group.foundation.nats
    if broker is None:
        raise TestbedError("an event log in PostgreSQL has no process of its own: choose --bus nats")
    context.say("killing NATS")
    began = context.history.seconds()
    await broker.kill_and_restart()
    return {"away_seconds": round(context.history.seconds() - began, 2)}


async def _count_republished(context: CampaignContext, breaks: list[dict[str, Any]]) -> None:
    """Check that after each wipe the relay has republished at least the events published before."""
    process = "monolith" if context.group.options.mode == "monolith" else "order"
    republished = round(await context.counter(process, "shop_relay_republished_events", context="order"))
    least = sum(each["events_before"] for each in breaks)
    context.report.figures["republished_events"] = republished
    context.report.expect(republished >= least, f"{republished} events were published again, and {least} had been lost")


BREAKS: dict[Break, Callable[[CampaignContext, int], Awaitable[dict[str, Any]]]] = {
    "postgres-restart": _restart_postgres,
    "broker-wipe": _wipe_broker,
    "broker-kill": _kill_broker,
}

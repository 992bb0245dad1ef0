"""What do the campaigns have in common that break one thing? A platform under load, the breaking, the examination."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from observability.analysis.openmetrics import Scrape, parse_scrape
from observability.chaos.campaign_report import Report
from observability.chaos.history import History
from observability.chaos.invariant_report import examine, keep_evidence
from observability.chaos.table_dump import keep_databases
from observability.chaos.workload import Traffic, TrafficOptions
from observability.testbed.errors import TestbedError
from observability.testbed.process_group import ProcessGroup

Say = Callable[[str], None]

_POLL_SECONDS = 0.05
_SCRAPE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class CampaignContext:
    """One platform, what its customers were told, and what is reported of it. `say` is told what is being done."""

    group: ProcessGroup
    history: History
    report: Report
    say: Say

    @asynccontextmanager
    async def under_load(self, *, seed: int, clients: int = 10) -> AsyncIterator[None]:
        """Let customers place and cancel orders for the time of a block, then until every outcome is known."""
        async with self.group.edges() as edges, self.group.stock() as stock:
            options = TrafficOptions(seed=seed, clients=clients)
            traffic = Traffic(options, edges=edges, stock=stock, history=self.history)
            await traffic.stock_up()
            async with traffic.going_on():
                yield

    async def conclude(self) -> Report:
        """Wait for quiet, examine everything, and keep the evidence when something is wrong."""
        self.say("waiting for quiet, then checking everything")
        examination = await examine(self.group, self.history)
        report, folder = self.report, self.group.options.folder
        report.violations += examination.violations
        report.verdict = examination.verdict
        report.figures |= {
            "orders": examination.orders,
            "requests": self.history.requests(),
            "attempts": len(self.history.exchanges),
            "quiet_seconds": round(examination.quiet_seconds, 2),
        }
        if report.violations:
            keep_evidence(examination, self.history, folder)
            await keep_databases(self.group.foundation.databases, folder / "databases")
        return report

    async def counter(self, process: str, name: str, **labels: str) -> float:
        """Read a counter of a process, over the labels that are not given. Raises TestbedError."""
        return (await scrape(self.group.admin_address(process))).total(f"{name}_total", **labels)


async def scrape(address: str, *, names: Sequence[str] = ()) -> Scrape:
    """Read the metrics of a process at host:port, or those of these names alone. Raises TestbedError."""
    timeout = aiohttp.ClientTimeout(total=_SCRAPE_SECONDS)
    url, asked = f"http://{address}/metrics", [("name[]", name) for name in names]
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, params=asked) as page:
            page.raise_for_status()
            return parse_scrape(await page.text())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise TestbedError(f"cannot read the metrics at {address}: {error}") from error


async def until(what: str, is_so: Callable[[], Awaitable[bool]], *, limit_seconds: float) -> float:
    """Wait until something is so; return the seconds it took. Raises TestbedError when it does not come to it."""
    began = time.monotonic()
    while not await is_so():
        if time.monotonic() - began > limit_seconds:
            raise TestbedError(f"it did not come to this within {limit_seconds:.0f} s: {what}")
        await asyncio.sleep(_POLL_SECONDS)
    return time.monotonic() - began


async def is_written(path: Path) -> bool:
    """Say whether a file is there."""
    return await asyncio.to_thread(path.exists)

"""Context of a campaign: its platform under load, its history, its report, and the final checks."""

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
from observability.chaos.invariant_report import examine, write_evidence
from observability.chaos.table_dump import dump_databases
from observability.chaos.workload import Workload, WorkloadOptions
from observability.testbed.errors import TestbedError
from observability.testbed.process_group import ProcessGroup

Say = Callable[[str], None]

_POLL_SECONDS = 0.05
_SCRAPE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class CampaignContext:
    """Context of a campaign.

    group: the platform.
    history: all requests and answers.
    report: the campaign's report.
    say: prints a line of progress.
    """

    group: ProcessGroup
    history: History
    report: Report
    say: Say

    @asynccontextmanager
    async def under_load(self, *, seed: int, clients: int = 10) -> AsyncIterator[None]:
        """Run the workload during a with block, then wait until every outcome is known."""
        async with self.group.api_clients() as apis, self.group.stock() as stock:
            options = WorkloadOptions(seed=seed, clients=clients, has_replicas=self.group.options.replicas > 0)
            workload = Workload(options, apis=apis, stock=stock, history=self.history)
            await workload.stock_up()
            async with workload.running():
                yield

    async def conclude(self) -> Report:
        """Wait until the platform is quiescent, run all checks, and write the evidence if there is a violation."""
        self.say("waiting until nothing is in flight, then checking everything")
        examination = await examine(self.group, self.history)
        report, folder = self.report, self.group.options.folder
        report.violations += examination.violations
        report.invariants = examination.invariants
        report.figures |= {
            "orders": examination.orders,
            "requests": self.history.requests(),
            "attempts": len(self.history.exchanges),
            "quiet_seconds": round(examination.quiet_seconds, 2),
        }
        if report.violations:
            write_evidence(examination, self.history, folder)
            await dump_databases(self.group.foundation.databases, folder / "databases")
        return report

    async def counter(self, process: str, name: str, **labels: str) -> float:
        """Return a counter of a process, summed over the labels that are not given. Raises TestbedError."""
        return (await scrape(self.group.admin_address(process))).total(f"{name}_total", **labels)


async def scrape(address: str, *, names: Sequence[str] = ()) -> Scrape:
    """Read the metrics of a process at host:port, or only those of the given names. Raises TestbedError."""
    timeout = aiohttp.ClientTimeout(total=_SCRAPE_SECONDS)
    url, filters = f"http://{address}/metrics", [("name[]", name) for name in names]
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, params=filters) as page:
            page.raise_for_status()
            return parse_scrape(await page.text())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise TestbedError(f"cannot read the metrics at {address}: {error}") from error


async def until(what: str, is_so: Callable[[], Awaitable[bool]], *, limit_seconds: float) -> float:
    """Wait until a condition holds, and return the seconds it took. Raises TestbedError after `limit_seconds`."""
    began = time.monotonic()
    while not await is_so():
        if time.monotonic() - began > limit_seconds:
            raise TestbedError(f"this did not happen within {limit_seconds:.0f} s: {what}")
        await asyncio.sleep(_POLL_SECONDS)
    return time.monotonic() - began


async def is_written(path: Path) -> bool:
    """Return whether a file exists."""
    return await asyncio.to_thread(path.exists)

"""Scrapes of the services' /metrics before and after the load of a demo."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from observability.analysis.openmetrics import Exemplar, HistogramDelta, Scrape, histogram_deltas, parse_scrape
from observability.demo.options import DemoError

_ACTIVE_REQUESTS = "http_server_active_requests"
_SPANS_ENDED = "otel_sdk_processor_span_processed_total"
_SCRAPE_TIMEOUT_SECONDS = 10.0
_QUIET_TIMEOUT_SECONDS = 15.0
_POLL_SECONDS = 0.1

Scrapes = dict[str, Scrape]


@dataclass(frozen=True, slots=True)
class ScrapePair:
    """Scrapes of each process before and after the load, by the process's name."""

    before: Scrapes
    after: Scrapes

    def histogram(self, name: str) -> list[HistogramDelta]:
        """Return what the label sets of a histogram saw during the load, those of all processes."""
        return [
            delta
            for process, after in self.after.items()
            for delta in histogram_deltas(self.before[process], after, name)
        ]

    def total_at_end(self, name: str, **labels: str) -> int:
        """Add up a counter over all processes, from their start."""
        return round(sum(scrape.total(name, **labels) for scrape in self.after.values()))

    def exemplars(self) -> list[Exemplar]:
        """Return all exemplars that are on the pages after the load."""
        return [exemplar for scrape in self.after.values() for exemplar in scrape.exemplars]


async def scrape_all(admin: Mapping[str, str]) -> Scrapes:
    """Scrape each process's admin address (host:port, by name); raises DemoError."""
    timeout = aiohttp.ClientTimeout(total=_SCRAPE_TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        return {name: await _scrape(session, name, address) for name, address in admin.items()}


async def scrape_when_quiet(admin: Mapping[str, str]) -> Scrapes:
    """Scrape once no request is in flight and no span ends any more, or at the latest after 15 s; raises DemoError."""
    deadline = asyncio.get_running_loop().time() + _QUIET_TIMEOUT_SECONDS
    ended_before = -1.0
    while True:
        scrapes = await scrape_all(admin)
        busy = any(scrape.total(_ACTIVE_REQUESTS) for scrape in scrapes.values())
        ended = sum(scrape.total(_SPANS_ENDED) for scrape in scrapes.values())
        if (not busy and ended == ended_before) or asyncio.get_running_loop().time() > deadline:
            return scrapes
        ended_before = ended
        await asyncio.sleep(_POLL_SECONDS)


async def _scrape(session: aiohttp.ClientSession, name: str, address: str) -> Scrape:
    try:
        async with session.get(f"http://{address}/metrics") as response:
            response.raise_for_status()
            return parse_scrape(await response.text())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise DemoError(f"cannot read the metrics of {name} at {address}: {error}") from error

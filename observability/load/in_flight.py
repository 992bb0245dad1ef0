"""Sampler of the server's own gauge of requests in flight, during a run."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from observability.load.options import LoadOptions
from observability.load.orders import stream
from observability.load.recorder import Run

_GAUGE = "http_server_active_requests"
# A sample costs the server time in which its customers wait. The longer it took, the longer the pause, within bounds.
_PAUSE_PER_ANSWER = 40.0
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 0.25
_SAMPLE_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class InFlightSample:
    """The server's gauge, summed over its label sets; the request was sent `at_seconds` after the start of the run."""

    at_seconds: float
    requests: float


@asynccontextmanager
async def sampling_in_flight(run: Run, options: LoadOptions) -> AsyncIterator[list[InFlightSample]]:
    """Sample the server's gauge 4 to 20 times a second, at irregular moments, into the yielded list.

    The request filters for the gauge, which a server may ignore. Without an admin address the list stays empty. A
    sample that fails or takes over two seconds is left out.
    """
    samples: list[InFlightSample] = []
    if options.admin_address is None:
        yield samples
        return
    timeout = aiohttp.ClientTimeout(total=_SAMPLE_TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        url = f"http://{options.admin_address}/metrics?name[]={_GAUGE}"
        sampler = asyncio.create_task(_sample(run, session, url, samples, stream(options.seed, "samples")))
        try:
            yield samples
        finally:
            sampler.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sampler


async def _sample(
    run: Run, session: aiohttp.ClientSession, url: str, samples: list[InFlightSample], moments: random.Random
) -> None:
    pause_seconds = _LONGEST_PAUSE_SECONDS
    while True:
        await asyncio.sleep(pause_seconds * moments.uniform(0.7, 1.3))
        # Requests sent after this moment reach the server after this sample's request, and are not counted in it.
        at_seconds = run.now_seconds()
        requests = await _read_gauge(session, url)
        if requests is not None:
            samples.append(InFlightSample(at_seconds, requests))
        pause_seconds = _PAUSE_PER_ANSWER * (run.now_seconds() - at_seconds)
        pause_seconds = min(max(pause_seconds, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)


async def _read_gauge(session: aiohttp.ClientSession, url: str) -> float | None:
    try:
        async with session.get(url) as response:
            return gauge_total(await response.text(), _GAUGE) if response.ok else None
    except (aiohttp.ClientError, TimeoutError):
        return None


def gauge_total(exposition: str, name: str) -> float | None:
    """Sum a gauge over its label sets in a Prometheus or OpenMetrics text; None if it is absent."""
    values = [
        float(line.rsplit("}", 1)[-1].removeprefix(name).split()[0])
        for line in exposition.splitlines()
        if line.startswith((f"{name}{{", f"{name} "))
    ]
    return sum(values) if values else None

"""Load on a foreign system: a few clients in turn, or an open loop with random gaps."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from tests.strangers.settings import Load

REQUEST_SECONDS = 120.0
# More than ever wait at once in a setting in which too much comes.
MOST_CONNECTIONS = 500
Send = Callable[[aiohttp.ClientSession, random.Random], Awaitable[bool]]


@dataclass(slots=True)
class Sent:
    """What the clients saw: when requests were due, how long each took, and whether it got the right answer."""

    from_seconds: float = 0.0
    until_seconds: float = 0.0
    latencies_seconds: list[float] = field(default_factory=list)
    answered: list[bool] = field(default_factory=list)


async def send_load(load: Load, send: Send, *, seed: int) -> Sent:
    """Send all requests and wait for every answer."""
    sent, source = Sent(), random.Random(seed)
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:

        async def one() -> None:
            began = time.monotonic()
            try:
                answered = await send(session, source)
            except (aiohttp.ClientError, TimeoutError):
                answered = False
            sent.latencies_seconds.append(time.monotonic() - began)
            sent.answered.append(answered)

        sent.from_seconds = time.time()
        if load.clients:
            await asyncio.gather(*(_in_turn(one, load.requests // load.clients) for _ in range(load.clients)))
            sent.until_seconds = time.time()
        else:
            async with asyncio.TaskGroup() as group:
                for _ in range(load.requests):
                    await asyncio.sleep(source.expovariate(load.rate))
                    group.create_task(one())
                sent.until_seconds = time.time()
    return sent


async def _in_turn(one: Callable[[], Awaitable[None]], count: int) -> None:
    for _ in range(count):
        await one()

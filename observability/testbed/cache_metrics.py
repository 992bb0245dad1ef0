"""Cache metrics: Valkey's counters of hits, misses, expired and evicted keys."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from valkey.asyncio import Valkey

TIMEOUT_SECONDS = 10.0
# Our names to the fields of INFO.
_COUNTERS = {
    "hits": "keyspace_hits",
    "misses": "keyspace_misses",
    "expired": "expired_keys",
    "evicted": "evicted_keys",
}


@asynccontextmanager
async def open_cache(url: str) -> AsyncIterator[Valkey]:
    """Yield a client, which connects on first use and is closed after the with block."""
    async with Valkey.from_url(url, socket_timeout=TIMEOUT_SECONDS) as client:
        yield client


async def read_cache(client: Valkey) -> dict[str, int]:
    """Return the server's counters. Raises ValkeyError."""
    stats = await client.info("stats")
    return {name: int(stats[field]) for name, field in _COUNTERS.items()}


def cache_used(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return the increase of each counter; one that fell was reset in between, so its whole value counts."""
    return {name: value - before[name] if value >= before[name] else value for name, value in after.items()}

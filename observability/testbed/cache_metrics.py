"""What does the server of a cache say of its keys? How many were there, were not, came to their end, or made room."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from valkey.asyncio import Valkey

TIMEOUT_SECONDS = 10.0
# What INFO calls them.
_COUNTERS = {
    "hits": "keyspace_hits",
    "misses": "keyspace_misses",
    "expired": "expired_keys",
    "evicted": "evicted_keys",
}


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Valkey]:
    """Connect for the time of a block, when first used."""
    async with Valkey.from_url(url, socket_timeout=TIMEOUT_SECONDS) as client:
        yield client


async def read_cache(client: Valkey) -> dict[str, int]:
    """Read its counters. Raises ValkeyError."""
    stats = await client.info("stats")
    return {name: int(stats[field]) for name, field in _COUNTERS.items()}


def cache_used(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Give how far each counter rose; one that fell was reset in between: then all of it is new."""
    return {name: value - before[name] if value >= before[name] else value for name, value in after.items()}

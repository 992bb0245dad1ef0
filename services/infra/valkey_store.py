"""Store of a cache in Valkey, or a server with the same protocol: MGET to read, SETs to write.

The client has no retries and few connections; it connects when first used, and again after a loss. The cache cancels a
command much earlier than the client's own timeouts. The client closes a connection whose command was cancelled, so that
no later command reads its answer.
"""

from collections.abc import Mapping, Sequence
from typing import Self

from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.exceptions import ValkeyError

from observability.telemetry.cache import CacheTelemetry
from services.infra.cache import CacheUnavailable

MOST_CONNECTIONS = 4
# Limit of connecting, of each answer, and of the wait for a free connection.
LIMIT_SECONDS = 0.5


class ValkeyStore:
    """Implements `cache.Store` on Valkey."""

    def __init__(self, pool: BlockingConnectionPool, telemetry: CacheTelemetry) -> None:
        self._pool = pool
        self._client = Valkey.from_pool(pool)
        self._telemetry = telemetry
        options = pool.connection_kwargs
        self._address: str = options.get("host") or options.get("path") or "localhost"
        self._port: int = options.get("port") or 6379

    @classmethod
    def open(cls, url: str, *, telemetry: CacheTelemetry) -> Self:
        """Return a store that connects when it is first used. Raises ValueError for an invalid URL."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MOST_CONNECTIONS,
            timeout=LIMIT_SECONDS,
            socket_timeout=LIMIT_SECONDS,
            socket_connect_timeout=LIMIT_SECONDS,
            # Saves two round trips on each new connection.
            lib_name=None,
            lib_version=None,
        )
        return cls(pool, telemetry)

    async def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return a value or None for each key. Raises CacheUnavailable."""
        with self._telemetry.command("MGET", keys=len(keys), address=self._address, port=self._port) as span:
            try:
                values: list[bytes | None] = await self._client.mget(keys)
            except (ValkeyError, OSError) as error:
                raise CacheUnavailable from error
            span.set_attribute("db.response.returned_rows", sum(value is not None for value in values))
            return values

    async def write(self, values: Mapping[str, bytes], lifetimes_seconds: Mapping[str, float]) -> None:
        """Store values in one round trip. Raises CacheUnavailable."""
        with self._telemetry.command("SET", keys=len(values), address=self._address, port=self._port):
            try:
                async with self._client.pipeline(transaction=False) as pipeline:
                    for key, value in values.items():
                        pipeline.set(key, value, px=max(1, round(1000 * lifetimes_seconds[key])))
                    await pipeline.execute()
            except (ValkeyError, OSError) as error:
                raise CacheUnavailable from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        await self._pool.aclose()

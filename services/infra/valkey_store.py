"""Where does a cache keep its values? In Valkey, or whatever speaks its protocol: an MGET to read, SETs to write.

The client has no retries and few connections; it connects when first used, and again after a loss. Its own time limits
are a second line: the cache cuts off each command much earlier, and a connection that was cut off in the middle is
closed by the client, so that no answer comes to the wrong question.
"""

from collections.abc import Mapping, Sequence
from typing import Self

from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.exceptions import ValkeyError

from observability.telemetry.cache import CacheTelemetry
from services.infra.cache import CacheUnavailable

MOST_CONNECTIONS = 4
LIMIT_SECONDS = 0.5


class ValkeyStore:
    """Satisfies `cache.Store`."""

    def __init__(self, pool: BlockingConnectionPool, telemetry: CacheTelemetry) -> None:
        self._pool = pool
        self._client = Valkey.from_pool(pool)
        self._telemetry = telemetry
        place = pool.connection_kwargs
        self._address: str = place.get("host") or place.get("path") or "localhost"
        self._port: int = place.get("port") or 6379

    @classmethod
    def open(cls, url: str, *, telemetry: CacheTelemetry, limit_seconds: float = LIMIT_SECONDS) -> Self:
        """Return a store that connects when it is first used. Raises ValueError for a URL that is none.

        `limit_seconds` bounds the connecting, each answer, and the wait for a free connection.
        """
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MOST_CONNECTIONS,
            timeout=limit_seconds,
            socket_timeout=limit_seconds,
            socket_connect_timeout=limit_seconds,
            # Two round trips less on each new connection.
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
        """Keep values, all in one round trip. Raises CacheUnavailable."""
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

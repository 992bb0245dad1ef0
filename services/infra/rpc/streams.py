"""Limits for the streams of health and reflection, which would otherwise hold the port's calls and its drain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

MAX_STREAMS = 32


class Streams:
    """The streams of one kind that a server keeps open at a time."""

    def __init__(self, most: int = MAX_STREAMS) -> None:
        self._most = most
        self._open: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def admitted(self, context: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[None]:
        """Hold a stream for the time of a block, which a TimeoutError in it ends as well as `end`.

        Beyond the limit the stream is aborted with RESOURCE_EXHAUSTED.
        """
        if len(self._open) >= self._most:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"the server keeps {self._most} such streams open at most"
            )
        limit = asyncio.timeout(None)
        self._open.add(limit)
        try:
            async with limit:
                yield
        except TimeoutError:
            return
        finally:
            self._open.discard(limit)

    def end(self) -> None:
        """End them all now, and take no new ones. Cancelling their tasks would not: gRPC sends no status then."""
        self._most = 0
        ending, self._open = self._open, set()
        for limit in ending:
            limit.reschedule(asyncio.get_running_loop().time())

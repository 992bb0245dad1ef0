"""Limit on health and reflection streams, which could otherwise use up all calls of a server and delay its drain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

MAX_STREAMS = 32


class Streams:
    """Open streams of one kind, at most `most` at a time."""

    def __init__(self, most: int = MAX_STREAMS) -> None:
        self._most = most
        self._open: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def admitted(self, context: "grpc.aio.ServicerContext[Any, Any]") -> AsyncIterator[None]:
        """Register a stream during a with block; a TimeoutError in the block or a call of `end` ends it.

        Beyond the limit the stream is aborted with RESOURCE_EXHAUSTED.
        """
        if len(self._open) >= self._most:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"the server allows at most {self._most} open streams of this kind"
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
        """End all streams and reject new ones. Cancelling their tasks would not do: gRPC then sends no status."""
        self._most = 0
        ending, self._open = self._open, set()
        for limit in ending:
            limit.reschedule(asyncio.get_running_loop().time())

"""Semaphore with a deadline: admits a limited number of callers at once, as a lock or a bounded pool does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.infra import deadline
from services.infra.postgres_errors import RETRY_AFTER_SECONDS
from services.kernel.errors import Overloaded


class Turns:
    """Admits `limit` callers at once, in the order of their arrival; the others wait, and no span shows it."""

    def __init__(self, limit: int) -> None:
        self._free = asyncio.Semaphore(limit)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Run a with block in one's turn. Raises Overloaded if it does not come before the caller's deadline."""
        try:
            async with asyncio.timeout(deadline.remaining_seconds()):
                await self._free.acquire()
        except TimeoutError as error:
            raise Overloaded(RETRY_AFTER_SECONDS) from error
        try:
            yield
        finally:
            self._free.release()

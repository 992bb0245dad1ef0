"""How does the whole platform start, stay watched and stop, as one thing?

async with Platform.start(PlatformOptions(run_directory=Path("out/demo/1"))) as platform:
    ... platform.endpoints ...
    raise await platform.failure()     # only when a process ended by itself
"""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from services.local.platform.endpoints import Endpoints
from services.local.platform.foundation import Foundation
from services.local.platform.launcher import Progress, silent
from services.local.platform.plan import PlatformOptions
from services.local.platform.startup import Startup
from services.local.processes.errors import ProcessFailed
from services.local.processes.process_watch import Watch

T = TypeVar("T")


class Platform:
    """The running platform; `postgres_admin_dsn` is that of the embedded PostgreSQL, None with a server of your own."""

    def __init__(self, *, endpoints: Endpoints, postgres_admin_dsn: str | None, watch: Watch) -> None:
        self.endpoints = endpoints
        self.postgres_admin_dsn = postgres_admin_dsn
        self._watch = watch

    async def failure(self) -> ProcessFailed:
        """Waits, without a bound, until a process of the platform ends by itself and returns the error to raise."""
        return await self._watch.failure()

    async def unless_failure(self, step: Coroutine[Any, Any, T]) -> T:
        """Runs `step` as long as the platform stands; raises ProcessFailed when a process ends meanwhile."""
        return await self._watch.unless_failure(step)

    @staticmethod
    @asynccontextmanager
    async def start(options: PlatformOptions, *, progress: Progress = silent) -> AsyncIterator["Platform"]:
        """Starts everything and stops everything at the end, whatever happens in between; raises LocalError.

        `progress` is told, in short sentences, what was started, what is stopped and what had to be killed.
        """
        async with Foundation.start(options, progress=progress) as foundation:
            yield Platform(
                endpoints=await Startup(foundation).run(),
                postgres_admin_dsn=foundation.postgres.admin_dsn if foundation.postgres else None,
                watch=foundation.watch,
            )

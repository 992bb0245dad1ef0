"""Platform: starts, watches and stops all processes of the shop as one.

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
    """A running platform; `postgres_admin_dsn` is that of the embedded PostgreSQL, None with a given server."""

    def __init__(self, *, endpoints: Endpoints, postgres_admin_dsn: str | None, watch: Watch) -> None:
        self.endpoints = endpoints
        self.postgres_admin_dsn = postgres_admin_dsn
        self._watch = watch

    async def failure(self) -> ProcessFailed:
        """Wait, without a limit, until a process of the platform ends unexpectedly, and return the error to raise."""
        return await self._watch.failure()

    async def unless_failure(self, step: Coroutine[Any, Any, T]) -> T:
        """Return the result of `step`. Raises ProcessFailed if a process of the platform ends meanwhile."""
        return await self._watch.unless_failure(step)

    @staticmethod
    @asynccontextmanager
    async def start(options: PlatformOptions, *, progress: Progress = silent) -> AsyncIterator["Platform"]:
        """Run the platform during a with block, and stop it at its end. Raises LocalError.

        `progress` is called with a short message for each process that is started, stopped or killed.
        """
        async with Foundation.start(options, progress=progress) as foundation:
            yield Platform(
                endpoints=await Startup(foundation).run(),
                postgres_admin_dsn=foundation.postgres.admin_dsn if foundation.postgres else None,
                watch=foundation.watch,
            )

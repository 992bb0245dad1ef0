"""What does a fault act on? A platform under load, what watches it, and whom that tells."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from observability.testbed.errors import TestbedError
from observability.testbed.monitoring.servers import Monitoring
from observability.testbed.monitoring.webhook import Webhook
from observability.testbed.process_group import ProcessGroup

CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultContext:
    """One row's surroundings."""

    group: ProcessGroup
    monitoring: Monitoring
    webhook: Webhook

    @asynccontextmanager
    async def administering(self, database: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        """Connect to one of the shop's databases as its administrator, whom no time limit of the services binds."""
        server = self.group.foundation.postgres
        if server is None:
            raise TestbedError("a PostgreSQL that PLUMB_POSTGRES_DSN names is not ours to break: unset it")
        dsn = urlunsplit(urlsplit(server.admin_dsn)._replace(path=f"/{database}"))
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            yield connection
        finally:
            await connection.close(timeout=CONNECT_SECONDS)


Begin = Callable[[FaultContext], AbstractAsyncContextManager[None]]

"""Context of a fault: the platform under load, its monitoring, and the webhook of the alerts."""

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
    """What a fault can act on."""

    group: ProcessGroup
    monitoring: Monitoring
    webhook: Webhook

    @asynccontextmanager
    async def administering(self, database: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        """Connect to one of the shop's databases as administrator, without the services' time limits."""
        server = self.group.foundation.postgres
        if server is None:
            raise TestbedError("a PostgreSQL given by PLUMB_POSTGRES_DSN must not be broken: unset the variable")
        dsn = urlunsplit(urlsplit(server.admin_dsn)._replace(path=f"/{database}"))
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            yield connection
        finally:
            await connection.close(timeout=CONNECT_SECONDS)


Begin = Callable[[FaultContext], AbstractAsyncContextManager[None]]

"""PostgreSQL of a foreign system, possibly behind a proxy that delays what passes."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from observability.network.proxy import Delay, Proxy
from services.local.processes.scratch_folder import Scratch
from services.local.servers.postgres import PostgresStart, start_postgres
from tests.postgres import without_waiting_for_the_disk
from tests.strangers.settings import Setting

NAME = "postgres"


@dataclass(frozen=True, slots=True)
class Database:
    """A running server.

    admin_dsn: DSN without the proxy.
    address: host:port that the system uses.
    pid: of the server, whose children serve the sessions.
    """

    admin_dsn: str
    address: str
    pid: int

    @property
    def password(self) -> str:
        """Return the superuser's password."""
        return urlsplit(self.admin_dsn).password or ""


@asynccontextmanager
async def database(setting: Setting, folder: Path) -> AsyncIterator[Database]:
    """Run a new server, behind a proxy when the setting's network says so."""
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        start = PostgresStart(scratch=scratch, log_path=folder / "postgres.log", environment=os.environ)
        server = await start_postgres(start, stack=stack)
        await without_waiting_for_the_disk(server.admin_dsn)
        host, port = urlsplit(server.admin_dsn).hostname or "", server.port
        address = f"{host}:{port}"
        if setting.network and setting.network[0] == NAME:
            delay = Delay(latency_seconds=setting.network[1])
            opened = Proxy.open(target=(host, port), delay=delay, seed=1)
            address = (await stack.enter_async_context(opened)).address
        yield Database(server.admin_dsn, address, server.process.pid)

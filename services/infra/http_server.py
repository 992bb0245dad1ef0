"""How is an ASGI application served beside gRPC in one event loop? uvicorn, without its own idea of signals."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import uvicorn

from observability.telemetry.http import Application
from services.infra.settings import Address

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

START_SECONDS = 5.0
BACKLOG = 512


class QuietServer(uvicorn.Server):
    """uvicorn's server; the process has one owner of signals, and it is not this one."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class HttpServer:
    """Serves one ASGI application on one address; satisfies `lifecycle.Server`."""

    def __init__(self, application: Application, *, name: str, listen: Address) -> None:
        self._application = application
        self._name = name
        self._listen = listen
        self._server: QuietServer | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> dict[str, str]:
        """Listen, and return {name: host:port}. Raises OSError when the address is taken."""
        family = socket.AF_INET6 if ":" in self._listen.host else socket.AF_INET
        listener = socket.create_server(self._listen, family=family, backlog=BACKLOG)
        config = uvicorn.Config(
            cast("ASGIApplication", self._application),  # the same calls, in wider words
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
        )
        self._server = QuietServer(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name=f"http-{self._name}")
        async with asyncio.timeout(START_SECONDS):
            await self._server.listening.wait()
        host, port = listener.getsockname()[:2]
        return {self._name: str(Address(host, port))}

    async def announce_drain(self) -> None:
        """Do nothing: whoever balances HTTP asks /readyz."""

    async def stop(self, *, grace_seconds: float) -> None:
        """Accept no more, let requests in flight end within the grace, then return."""
        if self._server and self._serving:
            self._server.config.timeout_graceful_shutdown = max(1, round(grace_seconds))
            self._server.should_exit = True
            await self._serving

"""HTTP server for an ASGI application: uvicorn beside gRPC in one event loop, without its handling of signals."""

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from observability.listener.bodies import WholeRequests
from observability.listener.connections import Connections
from observability.listener.limits import Limits
from observability.listener.protocol import protocol_of
from observability.telemetry.http import Application
from observability.telemetry.listener import ListenerTelemetry
from observability.telemetry.metrics import Metrics
from services.infra.address import Address

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

START_SECONDS = 60.0
BACKLOG = 512
# asyncio accepts this many connections in a row before their limit is checked: few, so that a burst does not take all
# descriptors.
ACCEPTS_IN_A_ROW = 16
# An accepted connection takes some rounds of the loop until it has its protocol; five are enough.
READ_ROUNDS_AT_LEAST = 5
# A client that has connected may be slow to send its first request: two seconds for all of them together.
READ_ROUNDS_AT_MOST = 100
READ_ROUND_SECONDS = 0.02
ACCEPT_ROUNDS = 1_000
# asyncio gives an accepted connection its transport one round later, and drops it if the server was closed by then.
QUIET_ROUNDS = 4
EDGE = Limits()
# For Prometheus, probes and people; a flood at the edge must leave descriptors for them.
ADMIN = Limits(connections=64, connections_per_address=32, body_bytes=0)


def edge_limits(connections: int) -> Limits:
    """Return the limits of an edge: `connections` open in total, and half as many per client address."""
    return replace(EDGE, connections=connections, connections_per_address=connections // 2)


class QuietServer(uvicorn.Server):
    """uvicorn's server without signal handlers; `lifecycle` owns the signals of the process."""

    def __init__(self, config: uvicorn.Config, *, connections: Connections) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and set the event `listening`."""
        await super().startup(sockets)
        self.listening.set()

    async def on_tick(self, counter: int) -> bool:
        """Close overdue connections, ten times a second."""
        self._connections.end_overdue()
        return await super().on_tick(counter)

    def close_connections_when_answered(self) -> None:
        """Send `Connection: close` with every answer from now on."""
        header = (b"connection", b"close")
        self.config.encoded_headers.append(header)  # from which uvicorn makes its default headers once a second
        self.server_state.default_headers.append(header)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, read the requests that have arrived, and only then let uvicorn close idle connections.

        uvicorn alone loses connections that the kernel has accepted and requests that were not read yet.
        """
        quiet_rounds = 0
        for _ in range(ACCEPT_ROUNDS):
            quiet_rounds = 0 if select.select(sockets or [], [], [], 0)[0] else quiet_rounds + 1
            if quiet_rounds == QUIET_ROUNDS:
                break
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for done in range(READ_ROUNDS_AT_MOST):
            if done >= READ_ROUNDS_AT_LEAST and not self._is_a_first_request_awaited():
                break
            await asyncio.sleep(READ_ROUND_SECONDS)
        await super().shutdown(sockets)

    def _is_a_first_request_awaited(self) -> bool:
        # A client may retry what it sent on a kept-alive connection that was just closed (RFC 9110, 9.3.1), so only
        # connections without any request yet are waited for.
        connections = self.server_state.connections
        return any(isinstance(one, HttpToolsProtocol) and one.cycle is None for one in connections)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def listen_on(address: Address) -> socket.socket:
    """Return a listening socket whose connections have TCP_NODELAY. Raises OSError when the address is taken."""
    listener = socket.create_server(address, family=address.family, backlog=BACKLOG)
    # Connections inherit it. asyncio sets it only on sockets made with a protocol number, which these are not: without
    # it the body of an answer waits until the client acknowledges the headers, 40 ms on a kept connection.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class HttpServer:
    """Serves one ASGI application on one address, within limits; satisfies `lifecycle.Server`."""

    def __init__(
        self, application: Application, *, name: str, listen: Address, metrics: Metrics, limits: Limits = EDGE
    ) -> None:
        telemetry = ListenerTelemetry(metrics, name)
        self._connections = Connections(limits.within_descriptors(), on_refused=telemetry.refused)
        telemetry.watch(lambda: self._connections.open_count)
        self._application = WholeRequests(application, connections=self._connections)
        self._name = name
        self._listen = listen
        self._server: QuietServer | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> dict[str, str]:
        """Listen, and return {name: host:port}. Raises OSError when the address is taken."""
        listener = listen_on(self._listen)
        config = uvicorn.Config(
            cast("ASGIApplication", self._application),  # the same protocol with narrower types
            http=protocol_of(self._connections),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=ACCEPTS_IN_A_ROW,
            # Otherwise a connection that paused reading passes the context of one request, its trace and deadline, on
            # to the next.
            reset_contextvars=True,
        )
        self._server = QuietServer(config, connections=self._connections)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name=f"http-{self._name}")
        async with asyncio.timeout(START_SECONDS):
            await self._server.listening.wait()
        listener.listen(BACKLOG)  # asyncio has one number for both
        host, port = listener.getsockname()[:2]
        return {self._name: str(Address(host, port))}

    async def announce_drain(self) -> None:
        """Tell clients to reconnect; a load balancer that checks /readyz routes them to other processes."""
        if self._server:
            self._server.close_connections_when_answered()

    async def stop(self, *, grace_seconds: float) -> None:
        """Accept no new connections, let requests in flight end within the grace, then return."""
        if self._server and self._serving:
            self._server.config.timeout_graceful_shutdown = max(1, round(grace_seconds))
            self._server.should_exit = True
            await self._serving

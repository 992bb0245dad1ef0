"""The receiver's server: start, ready file, and a shutdown that loses no received spans."""

import asyncio
import contextlib
import json
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import structlog
import uvicorn

from observability.listener.bodies import Bodies
from observability.listener.connections import Connections
from observability.listener.limits import Limits
from observability.listener.protocol import protocol_of
from observability.receiver.app import ReceiverApp
from observability.receiver.counts import Counts
from observability.receiver.rotating_file import RotatingFile
from observability.receiver.settings import ReceiverSettings
from observability.receiver.sink import Sink

_BACKLOG = 128
_CONNECTIONS = 256
# Memory for incomplete bodies, in bodies of the largest size.
_BODIES_AT_ONCE = 8


class CannotStart(Exception):
    """The receiver cannot start; the message says why and what to do."""


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: `serve` below handles signals."""

    def __init__(self, config: uvicorn.Config, *, connections: Connections, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._connections = connections
        self._on_started = on_started

    async def on_tick(self, counter: int) -> bool:
        """Close overdue connections, ten times a second."""
        self._connections.end_overdue()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as usual, then call `on_started`."""
        await super().startup(sockets=sockets)
        self._on_started()


async def serve(settings: ReceiverSettings, *, counts: Counts, log: structlog.typing.FilteringBoundLogger) -> None:
    """Receive until SIGTERM or SIGINT, then finish requests in flight and flush. Raises CannotStart."""
    listener = _listen(settings)
    async with _forwarding(settings, listener, counts=counts, log=log) as forward:
        sink = Sink(
            _open_file(settings), counts=counts, maximum_body_bytes=settings.maximum_body_bytes, forward=forward
        )
        await _serve(settings, listener, sink=sink, counts=counts, log=log)
    log.info("receiver.stopped")


async def _serve(
    settings: ReceiverSettings,
    listener: socket.socket,
    *,
    sink: Sink,
    counts: Counts,
    log: structlog.typing.FilteringBoundLogger,
) -> None:
    address = _address(listener)
    limits = Limits(
        connections=_CONNECTIONS,
        connections_per_address=_CONNECTIONS,
        body_bytes=settings.maximum_body_bytes,
        body_seconds=settings.body_timeout_seconds,
        buffered_bytes=_BODIES_AT_ONCE * settings.maximum_body_bytes,
    ).within_descriptors()
    connections = Connections(limits, on_refused=lambda reason: counts.refusals.labels(reason).inc())

    def on_started() -> None:
        if settings.ready_file is not None:
            _write_ready_file(settings.ready_file, address)
        log.info("receiver.started", http=address, directory=str(settings.directory))

    server = _Server(
        uvicorn.Config(
            ReceiverApp(settings=settings, bodies=Bodies(limits), sink=sink, counts=counts, log=log),
            interface="asgi3",
            lifespan="off",
            http=protocol_of(connections),
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=settings.stop_timeout_seconds,
        ),
        connections=connections,
        on_started=on_started,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    try:
        await server.serve(sockets=[listener])
    finally:
        try:
            sink.close()
        except OSError as error:  # as a full disk that only the sync reports
            log.warning("receiver.file_not_synced", reason=error.strerror)


@contextlib.asynccontextmanager
async def _forwarding(
    settings: ReceiverSettings, listener: socket.socket, *, counts: Counts, log: structlog.typing.FilteringBoundLogger
) -> AsyncIterator[Callable[[bytes, int], None] | None]:
    """Yield the function that forwards a request to the second endpoint; None without one, or if that is this one."""
    endpoint = settings.forward
    if endpoint and _is_this(endpoint.url, listener):
        log.warning("receiver.forwarding_off", reason="the second endpoint is this receiver")
        endpoint = None
    if endpoint is None:
        yield None
        return
    # Only here: its clients of HTTP and gRPC are a third of a receiver's start.
    from observability.receiver.forwarder import forwarding  # noqa: PLC0415

    async with contextlib.AsyncExitStack() as stack:
        try:
            forwarder = await stack.enter_async_context(forwarding(endpoint, counts=counts, log=log))
        except OSError as error:
            raise CannotStart(f"cannot read a file of RECEIVER_FORWARD_*: {error}") from error
        yield forwarder.put


def _is_this(url: str, listener: socket.socket) -> bool:
    """Return whether a URL is this receiver, to which forwarded requests would return without end."""
    host, port = listener.getsockname()[:2]
    parts = urlsplit(url)
    return parts.port == port and parts.hostname in {host, "localhost", "127.0.0.1", "::1"}


def _listen(settings: ReceiverSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotStart(f"cannot listen on {settings.listen}: {error.strerror}; choose RECEIVER_LISTEN") from error
    # Connections inherit it; without it, a response may wait for the acknowledgement of its own headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _open_file(settings: ReceiverSettings) -> RotatingFile:
    try:
        return RotatingFile(
            settings.directory,
            maximum_file_bytes=settings.maximum_file_bytes,
            maximum_files=settings.maximum_files,
        )
    except OSError as error:
        raise CannotStart(
            f"cannot write in {settings.directory}: {error.strerror}; choose a RECEIVER_DIRECTORY that you may write"
        ) from error


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write_ready_file(path: Path, address: str) -> None:
    """Write the address atomically. Raises CannotStart."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        fresh.write_text(json.dumps({"http": address}))
        fresh.replace(path)
    except OSError as error:
        raise CannotStart(f"cannot write the ready file {path}: {error.strerror}") from error

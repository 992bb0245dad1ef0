"""Targets, clients and connections for tests of the proxy."""

import asyncio
import socket
import struct
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

from observability.network.proxy import Address, Delay, Proxy
from services.infra.address import parse_address
from services.local.servers.ports import local_address, loopback
from tests.patience import PATIENCE_SECONDS

SOON = Delay(latency_seconds=0.005)
NEVER = Delay(latency_seconds=3600.0)
READ_AT_MOST_BYTES = 256 * 1024

Connection = tuple[StreamReader, StreamWriter]
Talk = Callable[[StreamReader, StreamWriter], Awaitable[None]]


@asynccontextmanager
async def target(talk: Talk) -> AsyncIterator[Address]:
    """Serve each connection with `talk`, then end it."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            with suppress(ConnectionError):  # The proxy's end may cut a talk short.
                await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, loopback(), 0)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield host, port
    finally:
        server.close()


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Connection]:
    """Connect through the proxy."""
    reader, writer = await asyncio.open_connection(*parse_address(proxy.address))
    try:
        yield reader, writer
    finally:
        writer.close()


@asynccontextmanager
async def proxied(talk: Talk, delay: Delay = SOON, *, seed: int = 1) -> AsyncIterator[Proxy]:
    """Serve `talk` behind a proxy."""
    async with target(talk) as address, Proxy.open(target=address, delay=delay, seed=seed) as proxy:
        yield proxy


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    while data := await reader.read(READ_AT_MOST_BYTES):
        writer.write(data)
        await writer.drain()


async def silence(reader: StreamReader, _writer: StreamWriter) -> None:
    await reader.read()


class Noting:
    """Echoes byte by byte, and notes when each came."""

    def __init__(self) -> None:
        self.arrived = 0.0

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(1):
            self.arrived = time.monotonic()
            writer.write(data)

    async def ask(self, connection: Connection) -> tuple[float, float]:
        """Send a byte and return how many seconds it took there and back."""
        reader, writer = connection
        sent = time.monotonic()
        writer.write(b"x")
        await reader.readexactly(1)
        return self.arrived - sent, time.monotonic() - self.arrived


class Guest:
    """Hands its one connection to the test, until the test releases it."""

    def __init__(self) -> None:
        self._came: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self._leaves = asyncio.Event()

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._came.set_result((reader, writer))
        await self._leaves.wait()

    async def connection(self) -> Connection:
        return await asyncio.wait_for(self._came, PATIENCE_SECONDS)

    def leave(self) -> None:
        self._leaves.set()


@asynccontextmanager
async def between(delay: Delay = SOON) -> AsyncIterator[tuple[Proxy, Connection, Connection]]:
    """Yield a proxy and both ends of one connection through it: the client's and the target's."""
    guest = Guest()
    async with proxied(guest.talk, delay) as proxy, connected(proxy) as client:
        yield proxy, client, await guest.connection()
        guest.leave()


def reset(writer: StreamWriter) -> None:
    """Reset a connection, as a process does that is killed with unread bytes."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def end_of(reader: StreamReader) -> str:
    """Read to the end, and return how it came."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await reader.read()
    except ConnectionResetError:
        return "reset"
    return "ended"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def empty(proxy: Proxy) -> bool:
    """Return whether the proxy has forgotten all connections."""
    return not (proxy._clients or proxy._targets or proxy._connecting)


@contextmanager
def deaf_target() -> Iterator[Address]:
    """Yield a port that neither accepts nor rejects connections: its queue is full."""
    family = local_address(0).family
    with socket.socket(family) as listener, ExitStack() as stack:
        listener.bind(local_address(0))
        listener.listen(0)
        host, port = listener.getsockname()[:2]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket(family))
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
        yield host, port

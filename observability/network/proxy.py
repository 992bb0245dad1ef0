"""How does a network between two parts get slower, on one machine, without the kernel?

A TCP proxy stands between them and keeps what each side sends until it is due at the other. It delays bytes and not
handshakes: a connection opens as fast as without it, which callers that keep their connections do not notice.

What else a network does to connections is a `Fault`, which lasts for the time of a block:

    with proxy.suffering(Fault.BLACKHOLE):
        ...
"""

import asyncio
import itertools
import math
import random
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, cast
from urllib.parse import urlsplit, urlunsplit

from observability.network.loss import Loss
from services.local.servers.ports import local_address

Address: TypeAlias = tuple[str, int]

# Under way in one direction of a connection; then reading pauses. On top may come what one read gives, 256 KiB at most,
# and a little more than that in the transport of a side that takes nothing. At 50 ms, 20 MiB a second get through.
MOST_BYTES = 1024 * 1024
# By bytes alone, a million chunks of one byte would fit in, each of which takes a hundred bytes of memory.
MOST_CHUNKS = 4096
# Two sockets each: what a process may open by default, 1,024 files, is just enough.
MOST_CONNECTIONS = 500
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 5.0
# An end that comes so late is one that nobody waits for.
SLOW_CLOSE_SECONDS = 5.0
NARROW_BYTES_PER_SECOND = 16 * 1024
# A narrow network keeps what it takes it so long to pass on, and lets the sender wait with the rest.
BUFFER_SECONDS = 0.25
LEAST_BUFFER_BYTES = 4096

_END = b""
# Linger, for no time: the socket's other end sees a reset instead of an end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """How long bytes are under way: the latency each way, and up to the jitter more, drawn evenly for each chunk.

    A chunk is what one read gave. None overtakes another: one with little jitter arrives together with the one before.
    With `bytes_per_second` the chunks of a direction also pass one after the other, each as long as its bytes take.
    With a `loss` some arrive when they were sent again, and those behind them wait, as TCP has it.
    """

    latency_seconds: float
    jitter_seconds: float = 0.0
    bytes_per_second: float = math.inf
    loss: Loss | None = None

    def __post_init__(self) -> None:
        """Raise ValueError when a part is negative or endless, or nothing passes."""
        if not all(math.isfinite(part) and part >= 0 for part in (self.latency_seconds, self.jitter_seconds)):
            raise ValueError("a delay has a latency and a jitter of 0 seconds or more")
        if not self.bytes_per_second > 0:
            raise ValueError("a network passes more than 0 bytes a second")

    @property
    def most_bytes(self) -> float:
        """What may be under way in one direction before reading pauses."""
        return min(MOST_BYTES, max(LEAST_BUFFER_BYTES, BUFFER_SECONDS * self.bytes_per_second))


class Impairment(StrEnum):
    """What happens to connections, those that there are and new ones, while it lasts.

    RESET: each is reset at once. BLACKHOLE: nothing passes either way, neither bytes nor ends, and arrives once it is
    over, as what TCP sends again does. HALF_OPEN: the targets of those that there are have vanished and their clients
    are not told; once it is over, who sends anything is reset. SLOW_CLOSE: an end arrives SLOW_CLOSE_SECONDS late.
    NARROW: NARROW_BYTES_PER_SECOND pass each way.
    """

    RESET = "reset"
    BLACKHOLE = "blackhole"
    HALF_OPEN = "half-open"
    SLOW_CLOSE = "slow-close"
    NARROW = "narrow"


def rerouted(url: str, address: str) -> str:
    """Return a URL that leads to host:port instead of where it led, with the same login."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}{at}{address}"))


class Proxy:
    """Passes connections on to a target, with a delay each way; `open` makes one.

    Each side sees what the other did: a half-close as late as bytes, a reset at once. Where the target does not answer
    within CONNECT_SECONDS, or MOST_CONNECTIONS are open, the client sees its connection open and then reset.
    """

    def __init__(self, *, target: Address, delay: Delay, seed: int) -> None:
        self.address = ""  # host:port, once it listens.
        self.refused = 0  # Connections that were reset because the target did not answer, or because of their number.
        self._target = target
        self._delay = delay
        self._seed = seed
        self._numbers = itertools.count()
        self._clients: set[_Side] = set()
        self._targets: set[_Side] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._unconnected: set[_Side] = set()  # Clients whose targets are asked once the dark is over.
        self._fault: Impairment | None = None
        self._closing = False

    @staticmethod
    @asynccontextmanager
    async def open(
        *, target: Address, delay: Delay, seed: int, listen: Address | None = None
    ) -> AsyncIterator["Proxy"]:
        """Listen for the time of a block; at its end all connections are reset. Raises OSError.

        The seed fixes the jitter of the nth chunk in each direction of the nth connection.
        """
        proxy = Proxy(target=target, delay=delay, seed=seed)
        host, port = listen or local_address(0)
        server = await asyncio.get_running_loop().create_server(proxy._accept, host, port, backlog=MOST_CONNECTIONS)
        try:
            host, port = server.sockets[0].getsockname()[:2]
            proxy.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            yield proxy
        finally:
            server.close()
            await proxy._close()

    @contextmanager
    def suffering(self, fault: Impairment) -> Iterator[None]:
        """Let a fault last for the time of a block; a proxy has one at a time."""
        if self._fault is not None:
            raise ValueError(f"there is a fault already: {self._fault}")
        self._fault = fault
        if fault is Impairment.RESET:
            for side in (*self._clients, *self._targets):
                side.reset()
        if fault is Impairment.HALF_OPEN:
            for target in tuple(self._targets):
                target.vanish()
        try:
            yield
        finally:
            self._fault = None
            for client in tuple(self._unconnected):
                self._set_out_to_target(client)
            for side in (*self._clients, *self._targets):
                side.see_again()

    def _accept(self) -> asyncio.Protocol:
        number = next(self._numbers)
        client = self._side(f"{self._seed} {number} client", self._client_came, self._client_went)
        target = self._side(f"{self._seed} {number} target", self._targets.add, self._targets.discard)
        client.other, target.other = target, client
        return client

    def _side(self, seed: str, on_made: "_OnSide", on_lost: "_OnSide") -> "_Side":
        return _Side(
            delay=self._delay,
            chance=random.Random(seed),
            fault=lambda: self._fault,
            on_made=on_made,
            on_lost=on_lost,
        )

    def _client_came(self, client: "_Side") -> None:
        self._clients.add(client)
        if self._closing or len(self._clients) > MOST_CONNECTIONS:
            self._refuse(client)
        elif self._fault is Impairment.RESET:
            client.reset()
        elif self._fault is Impairment.BLACKHOLE:
            self._unconnected.add(client)
        else:
            self._set_out_to_target(client)

    def _client_went(self, client: "_Side") -> None:
        self._clients.discard(client)
        self._unconnected.discard(client)

    def _set_out_to_target(self, client: "_Side") -> None:
        self._unconnected.discard(client)
        task = asyncio.get_running_loop().create_task(self._connect(client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, client: "_Side") -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().create_connection(lambda: client.other, *self._target)
        except OSError:  # TimeoutError is one of them.
            self._refuse(client)

    def _refuse(self, client: "_Side") -> None:
        self.refused += 1
        client.reset()

    async def _close(self) -> None:
        self._closing = True
        for task in self._connecting:
            task.cancel()
        for side in (*self._clients, *self._targets):
            side.reset()
        async with asyncio.timeout(CLOSE_SECONDS):
            while left := {*self._connecting, *(side.lost for side in (*self._clients, *self._targets))}:
                await asyncio.wait(left)


class _Side(asyncio.Protocol):
    """One side of a connection: what it sends waits here until it is due at the other side."""

    other: "_Side"

    def __init__(
        self,
        *,
        delay: Delay,
        chance: random.Random,
        fault: Callable[[], Impairment | None],
        on_made: "_OnSide",
        on_lost: "_OnSide",
    ) -> None:
        self.takes_more = False
        self.is_alone = False  # The other side has vanished and this one was not told.
        self.end_delivered = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._delay = delay
        self._chance = chance
        self._fault = fault
        self._free_at = 0.0  # When the last chunk has passed, of those that take turns.
        self.is_lost_unseen = False
        self._on_made = on_made
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        # Each chunk with the moment it is due, by the system's clock: uvloop's own knows whole milliseconds only.
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._bytes_under_way = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._broken_off = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; what the other side has sent meanwhile is waiting."""
        # What uvloop gives is one in all but its bases.
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._on_made(self)
        if self._broken_off:  # The client went while the target was asked.
            self.reset()
        else:
            self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Send a chunk on its way."""
        if self.is_alone:
            if self._fault() is not Impairment.HALF_OPEN:
                self.reset()
            return
        self._set_out(data)
        full = self._bytes_under_way >= self._delay.most_bytes or len(self._under_way) >= MOST_CHUNKS
        if full and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Send the end of this direction on its way; the other direction goes on."""
        if self.is_alone:
            self.reset()
        else:
            self._set_out(_END)
        return True

    def pause_writing(self) -> None:
        """Let what comes for this side wait, since its peer does not read."""
        self.takes_more = False

    def resume_writing(self) -> None:
        """Go on."""
        self.takes_more = True
        self.other.deliver()

    def connection_lost(self, _error: Exception | None) -> None:
        """Break the other side off at once, unless both directions came to their end."""
        self._transport = None
        self._on_lost(self)
        self.lost.set_result(None)
        if self._fault() is Impairment.BLACKHOLE and not self._broken_off:
            self.is_lost_unseen = True
        elif not (self.other.is_alone or (self.end_delivered and self.other.end_delivered)):
            self.reset()
            self.other.reset()

    def vanish(self) -> None:
        """Go without a word to the other side."""
        self.other.is_alone = True
        self.reset()

    def see_again(self) -> None:
        """Pass on what a blackhole has kept."""
        if self.other.is_lost_unseen:
            self.reset()
        else:
            self.deliver()

    def _set_out(self, data: bytes) -> None:
        delay = self._delay
        narrow = NARROW_BYTES_PER_SECOND if self._fault() is Impairment.NARROW else math.inf
        bytes_per_second = min(delay.bytes_per_second, narrow)
        self._free_at = max(self._free_at, time.monotonic()) + len(data) / bytes_per_second
        due = self._free_at + delay.latency_seconds + delay.jitter_seconds * self._chance.random()
        if delay.loss is not None:
            due += delay.loss.wait_seconds(self._chance)
        if data == _END and self._fault() is Impairment.SLOW_CLOSE:
            due += SLOW_CLOSE_SECONDS
        self._under_way.append((due, data))
        self._bytes_under_way += len(data)
        if self._timer is None:
            self.deliver()

    def deliver(self) -> None:
        """Write to the other side what is due and it takes; come back when more is due."""
        if self._fault() is Impairment.BLACKHOLE:
            return
        now = time.monotonic()
        while self._under_way and self.other.takes_more and self._under_way[0][0] <= now:
            _, data = self._under_way.popleft()
            self._bytes_under_way -= len(data)
            self.other.write(data)
            self.end_delivered = data == _END
        if self.end_delivered and self.other.end_delivered:
            self.close()
            self.other.close()
        self._read_again()
        if self._under_way and self.other.takes_more and self._timer is None:
            self._timer = self._loop.call_later(self._under_way[0][0] - now, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.deliver()

    def _read_again(self) -> None:
        enough = self._bytes_under_way > self._delay.most_bytes / 2 or len(self._under_way) > MOST_CHUNKS // 2
        if not (self._reading or enough or self._transport is None):
            self._reading = True
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send a chunk, or the end, to this side's peer."""
        if self._transport is None:
            return
        if data:
            self._transport.write(data)
            return
        try:
            self._transport.write_eof()
        except OSError:  # The peer has reset the connection, which nobody noticed since it had ended its direction.
            self.reset()

    def close(self) -> None:
        """End, once all is written."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Break off at once: nothing more is read or written, and the peer sees a reset."""
        self._broken_off = True
        self.takes_more = False
        self._under_way.clear()
        self._bytes_under_way = 0
        if self._timer is not None:
            self._timer.cancel()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()


_OnSide: TypeAlias = Callable[[_Side], None]

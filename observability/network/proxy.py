"""TCP proxy that adds latency, loss or other impairments to connections, without the kernel's help.

It holds what each side sends until it is due at the other. It delays bytes and not handshakes: a connection opens as
fast as without it, which makes no difference to callers that reuse their connections.

An `Impairment` of the network lasts during a with block:

    with proxy.impaired(Impairment.BLACKHOLE):
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

# In transit in one direction of a connection; beyond it, reading pauses. One read may add 256 KiB, and the transport of
# a side that does not read a little more. At a latency of 50 ms, 20 MiB a second get through.
MOST_BYTES = 1024 * 1024
# A million chunks of one byte would fit into MOST_BYTES, and each takes a hundred bytes of memory.
MOST_CHUNKS = 4096
# Two sockets each: just enough for the default limit of 1,024 open files.
MOST_CONNECTIONS = 500
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 5.0
# Longer than callers wait for the end of a connection.
SLOW_CLOSE_SECONDS = 5.0
NARROW_BYTES_PER_SECOND = 16 * 1024
# A narrow network buffers what it passes in this time; beyond it, the sender has to wait.
BUFFER_SECONDS = 0.25
LEAST_BUFFER_BYTES = 4096

_END = b""
# Linger for zero seconds: the peer sees a reset instead of an end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Delay of each chunk in each direction; a chunk is the result of one read, and none overtakes another.

    latency_seconds: constant part.
    jitter_seconds: upper bound of the random part, drawn uniformly for each chunk.
    bytes_per_second: bandwidth; chunks of one direction pass one after the other.
    loss: adds the delay of retransmissions; the chunks behind wait too (head-of-line blocking).
    """

    latency_seconds: float
    jitter_seconds: float = 0.0
    bytes_per_second: float = math.inf
    loss: Loss | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if latency or jitter is negative or not finite, or the bandwidth is not positive."""
        if not all(math.isfinite(part) and part >= 0 for part in (self.latency_seconds, self.jitter_seconds)):
            raise ValueError("latency and jitter of a delay must be finite and 0 seconds or more")
        if not self.bytes_per_second > 0:
            raise ValueError("the bandwidth of a delay must be above 0 bytes a second")

    @property
    def most_bytes(self) -> float:
        """Bytes that may be in transit in one direction before reading pauses."""
        return min(MOST_BYTES, max(LEAST_BUFFER_BYTES, BUFFER_SECONDS * self.bytes_per_second))


class Impairment(StrEnum):
    """What happens to open and new connections while the impairment lasts.

    RESET: each connection is reset at once.
    BLACKHOLE: nothing passes either way, neither bytes nor ends. All of it arrives afterwards, like retransmissions.
    HALF_OPEN: the targets of open connections vanish without a FIN; a client that sends afterwards is reset.
    SLOW_CLOSE: the end of a connection arrives SLOW_CLOSE_SECONDS late.
    NARROW: NARROW_BYTES_PER_SECOND pass each way.
    """

    RESET = "reset"
    BLACKHOLE = "blackhole"
    HALF_OPEN = "half-open"
    SLOW_CLOSE = "slow-close"
    NARROW = "narrow"


def rerouted(url: str, address: str) -> str:
    """Return the URL with its host and port replaced by `address` (host:port); the login stays."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}{at}{address}"))


class Proxy:
    """Forwards connections to a target, with a delay each way; `open` makes one.

    Each side sees what the other did: a half-close is delayed like bytes, a reset is passed on at once. If the target
    does not accept within CONNECT_SECONDS, or MOST_CONNECTIONS are open, the client's connection opens and is reset.
    """

    def __init__(self, *, target: Address, delay: Delay, seed: int) -> None:
        self.address = ""  # host:port, once it listens.
        self.rejected = 0  # Connections that were reset because the target did not answer, or because of their number.
        self._target = target
        self._delay = delay
        self._seed = seed
        self._numbers = itertools.count()
        self._clients: set[_Side] = set()
        self._targets: set[_Side] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._unconnected: set[_Side] = set()  # Clients that came in a blackhole; connected to the target after it.
        self._impairment: Impairment | None = None
        self._closing = False

    @staticmethod
    @asynccontextmanager
    async def open(
        *, target: Address, delay: Delay, seed: int, listen: Address | None = None
    ) -> AsyncIterator["Proxy"]:
        """Listen during a with block; at its end, reset all connections. Raises OSError.

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
    def impaired(self, impairment: Impairment) -> Iterator[None]:
        """Impair the connections during a with block, in one way at a time; raises ValueError for a second one."""
        if self._impairment is not None:
            raise ValueError(f"the proxy is already impaired: {self._impairment}")
        self._impairment = impairment
        if impairment is Impairment.RESET:
            for side in (*self._clients, *self._targets):
                side.reset()
        if impairment is Impairment.HALF_OPEN:
            for target in tuple(self._targets):
                target.vanish()
        try:
            yield
        finally:
            self._impairment = None
            for client in tuple(self._unconnected):
                self._start_connecting(client)
            for side in (*self._clients, *self._targets):
                side.resume_after_blackhole()

    def _accept(self) -> asyncio.Protocol:
        number = next(self._numbers)
        client = self._side(f"{self._seed} {number} client", self._client_connected, self._client_disconnected)
        target = self._side(f"{self._seed} {number} target", self._targets.add, self._targets.discard)
        client.other, target.other = target, client
        return client

    def _side(self, seed: str, on_made: "_OnSide", on_lost: "_OnSide") -> "_Side":
        return _Side(
            delay=self._delay,
            chance=random.Random(seed),
            impairment=lambda: self._impairment,
            on_made=on_made,
            on_lost=on_lost,
        )

    def _client_connected(self, client: "_Side") -> None:
        self._clients.add(client)
        if self._closing or len(self._clients) > MOST_CONNECTIONS:
            self._reject(client)
        elif self._impairment is Impairment.RESET:
            client.reset()
        elif self._impairment is Impairment.BLACKHOLE:
            self._unconnected.add(client)
        else:
            self._start_connecting(client)

    def _client_disconnected(self, client: "_Side") -> None:
        self._clients.discard(client)
        self._unconnected.discard(client)

    def _start_connecting(self, client: "_Side") -> None:
        self._unconnected.discard(client)
        task = asyncio.get_running_loop().create_task(self._connect(client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, client: "_Side") -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().create_connection(lambda: client.other, *self._target)
        except OSError:  # TimeoutError is one of them.
            self._reject(client)

    def _reject(self, client: "_Side") -> None:
        self.rejected += 1
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
    """One side of a connection: holds what the side sends until it is due at the other side."""

    other: "_Side"

    def __init__(
        self,
        *,
        delay: Delay,
        chance: random.Random,
        impairment: Callable[[], Impairment | None],
        on_made: "_OnSide",
        on_lost: "_OnSide",
    ) -> None:
        self.takes_more = False
        self.peer_vanished = False  # The other side has vanished without a FIN.
        self.end_delivered = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._delay = delay
        self._chance = chance
        self._impairment = impairment
        self._free_at = 0.0  # When the link has passed its last chunk, at its bandwidth.
        self.is_lost_unseen = False
        self._on_made = on_made
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        # Each chunk with the moment it is due, by the system's clock: uvloop's own knows whole milliseconds only.
        self._in_transit: deque[tuple[float, bytes]] = deque()
        self._bytes_in_transit = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._was_reset = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start, and deliver what the other side has sent so far."""
        # uvloop's transport is one in all but its base classes.
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._on_made(self)
        if self._was_reset:  # The client left while the target was being connected.
            self.reset()
        else:
            self.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Enqueue a chunk; pause reading when too much is in transit."""
        if self.peer_vanished:
            if self._impairment() is not Impairment.HALF_OPEN:
                self.reset()
            return
        self._enqueue(data)
        full = self._bytes_in_transit >= self._delay.most_bytes or len(self._in_transit) >= MOST_CHUNKS
        if full and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Enqueue the end of this direction; the other direction stays open."""
        if self.peer_vanished:
            self.reset()
        else:
            self._enqueue(_END)
        return True

    def pause_writing(self) -> None:
        """Stop the delivery to this side, since its peer does not read."""
        self.takes_more = False

    def resume_writing(self) -> None:
        """Resume the delivery to this side."""
        self.takes_more = True
        self.other.deliver()

    def connection_lost(self, _error: Exception | None) -> None:
        """Reset the other side at once, unless both directions have ended."""
        self._transport = None
        self._on_lost(self)
        self.lost.set_result(None)
        if self._impairment() is Impairment.BLACKHOLE and not self._was_reset:
            self.is_lost_unseen = True
        elif not (self.other.peer_vanished or (self.end_delivered and self.other.end_delivered)):
            self.reset()
            self.other.reset()

    def vanish(self) -> None:
        """Disappear without a FIN or a reset to the other side."""
        self.other.peer_vanished = True
        self.reset()

    def resume_after_blackhole(self) -> None:
        """Deliver what a blackhole has held back."""
        if self.other.is_lost_unseen:
            self.reset()
        else:
            self.deliver()

    def _enqueue(self, data: bytes) -> None:
        delay = self._delay
        narrow = NARROW_BYTES_PER_SECOND if self._impairment() is Impairment.NARROW else math.inf
        bytes_per_second = min(delay.bytes_per_second, narrow)
        self._free_at = max(self._free_at, time.monotonic()) + len(data) / bytes_per_second
        due = self._free_at + delay.latency_seconds + delay.jitter_seconds * self._chance.random()
        if delay.loss is not None:
            due += delay.loss.wait_seconds(self._chance)
        if data == _END and self._impairment() is Impairment.SLOW_CLOSE:
            due += SLOW_CLOSE_SECONDS
        self._in_transit.append((due, data))
        self._bytes_in_transit += len(data)
        if self._timer is None:
            self.deliver()

    def deliver(self) -> None:
        """Write to the other side what is due, and schedule a timer for the rest."""
        if self._impairment() is Impairment.BLACKHOLE:
            return
        now = time.monotonic()
        while self._in_transit and self.other.takes_more and self._in_transit[0][0] <= now:
            _, data = self._in_transit.popleft()
            self._bytes_in_transit -= len(data)
            self.other.write(data)
            self.end_delivered = data == _END
        if self.end_delivered and self.other.end_delivered:
            self.close()
            self.other.close()
        self._read_again()
        if self._in_transit and self.other.takes_more and self._timer is None:
            self._timer = self._loop.call_later(self._in_transit[0][0] - now, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.deliver()

    def _read_again(self) -> None:
        enough = self._bytes_in_transit > self._delay.most_bytes / 2 or len(self._in_transit) > MOST_CHUNKS // 2
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
        except OSError:  # The peer has reset the connection, unnoticed since it had ended its direction before.
            self.reset()

    def close(self) -> None:
        """Close the connection once everything is written."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Reset the connection at once: nothing more is read or written."""
        self._was_reset = True
        self.takes_more = False
        self._in_transit.clear()
        self._bytes_in_transit = 0
        if self._timer is not None:
            self._timer.cancel()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()


_OnSide: TypeAlias = Callable[[_Side], None]

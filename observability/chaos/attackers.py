"""Hostile clients of the abuse campaign: each attack of the catalogue, run in a separate process.

    python -m observability.chaos.attackers

It reads one line of JSON, {"attack": NAME, "targets": {...}, "seconds": LIMIT}, and prints {"ready": true}. It attacks
from the next line on, until its input ends or the limit is over, and prints the answers: {"answers": {TEXT: COUNT}}.
"""

import asyncio
import contextlib
import json
import resource
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from uuid import uuid4

import aiohttp
import grpc
import nats
from grpc_health.v1 import health
from nats.errors import Error as NatsError
from shop.order.v1 import order_service_pb2 as pb

from observability.load.stocking import DIRECT
from services.infra.address import parse_address
from services.infra.messaging.nats_log import STREAM, subjects_of
from services.order.rpc.server import SERVICE

Rpc: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
Stream: TypeAlias = "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]"

# Customer and key of the order whose consistency token is forged.
CUSTOMER = "0a1b2c3d-0000-4000-8000-00000000000a"
KEY = "attacker"
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
PAUSE_SECONDS = 0.1
HEADERS_ONLY_CONNECTIONS = 20
ENDLESS_CONNECTIONS = 4
ENDLESS_HEADER_BYTES = 16 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
SLOW_CONNECTIONS = 50
SLOW_BYTE_SECONDS = 0.25
IDLE_CONNECTIONS = 3_000
IDLE_AT_ONCE = 50
# Descriptors that the attacker needs besides its connections.
SPARE_FILES = 100
TOKEN_CLIENTS = 8
WATCH_STREAMS = 512
# A connection for each channel.
APART = (*DIRECT, ("grpc.use_local_subchannel_pool", 1))
WATCH_CHANNELS = 4
BODY_CLIENTS = 2
UNKNOWN_FIELDS = 9_000
COMPRESSED_LINES = 130_000
STRAY_HEADERS = (None, {"Nats-Msg-Id": "no-uuid"}, {"Shop-Event-Type": "order.placed"})
STRAYS = len(STRAY_HEADERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Targets of the attacks.

    edge_http, order_grpc, admin: host:port.
    nats_url: with its login; empty when events go to PostgreSQL.
    sku: one that is in stock.
    """

    edge_http: str
    order_grpc: str
    admin: str
    nats_url: str
    sku: str


class Attackers:
    """The clients of one attack; `answers` counts their answers."""

    def __init__(self, targets: Targets) -> None:
        self.targets = targets
        self.answers: Counter[str] = Counter()

    async def headers_only(self) -> None:
        """Send headers that announce a body, and never send the body."""
        headers = "".join(f"{name}: {value}\r\n" for name, value in _headers().items())
        head = f"POST /orders HTTP/1.1\r\nHost: shop\r\n{headers}Content-Length: 90\r\n\r\n"
        await _at_once(HEADERS_ONLY_CONNECTIONS, lambda: self._hold(self.targets.edge_http, [head.encode()]))

    async def endless_header(self) -> None:
        """Send one header of 16 MiB."""
        filling = b"a" * CHUNK_BYTES
        sent = [b"GET /livez HTTP/1.1\r\nHost: shop\r\nX-Long: ", *[filling] * (ENDLESS_HEADER_BYTES // CHUNK_BYTES)]
        addresses = (self.targets.edge_http, self.targets.admin)
        await _at_once(
            ENDLESS_CONNECTIONS, *(lambda address=address: self._hold(address, sent) for address in addresses)
        )

    async def slow_headers(self) -> None:
        """Send a byte of a header now and then."""
        sent = [b"GET /livez HTTP/1.1\r\n", *[b"X-Slow: a\r\n"[at : at + 1] for at in range(11)] * 100]
        addresses = (self.targets.edge_http, self.targets.admin)
        await _at_once(
            SLOW_CONNECTIONS,
            *(
                lambda address=address: self._hold(address, sent, pause_seconds=SLOW_BYTE_SECONDS)
                for address in addresses
            ),
        )

    async def idle_connections(self) -> None:
        """Open as many connections as this process may, and send nothing."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        count = min(IDLE_CONNECTIONS, most - SPARE_FILES)
        opening = asyncio.Semaphore(IDLE_AT_ONCE)
        await _at_once(count, lambda: self._hold(self.targets.edge_http, [], opening=opening))

    async def forged_tokens(self) -> None:
        """Read lists with the consistency token of an own order, changed in one character."""
        async with _session() as session:
            token = await self._own_token(session)
            await _at_once(TOKEN_CLIENTS, lambda: self._list_with(session, _forged(token)))

    async def health_watch(self) -> None:
        """Watch the health of the order process in 512 streams, once its limit of concurrent calls."""
        async with contextlib.AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(
                    grpc.aio.insecure_channel(
                        self.targets.order_grpc, options=(*DIRECT, ("grpc.use_local_subchannel_pool", 1))
                    )
                )
                for _ in range(WATCH_CHANNELS)
            ]
            watches: list[Stream] = [channel.unary_stream(f"/{health.SERVICE_NAME}/Watch") for channel in channels]
            clients = (partial(self._watch, watch) for watch in watches)
            await _at_once(WATCH_STREAMS // WATCH_CHANNELS, *clients)

    async def unknown_fields(self) -> None:
        """Send orders with thousands of unknown fields."""
        document = {
            "lines": [{"sku": self.targets.sku, "quantity": 1}],
            **{f"x{at}": at for at in range(UNKNOWN_FIELDS)},
        }
        body = json.dumps(document).encode()
        async with _session() as session:
            await _at_once(BODY_CLIENTS, lambda: self._post(session, body))

    async def compressed_lines(self) -> None:
        """Send orders of 130,000 lines in a few compressed bytes."""
        line = pb.OrderLine(sku=self.targets.sku, quantity=1)
        payload = pb.PlaceOrderRequest(
            request_id=str(uuid4()), customer_id=str(uuid4()), lines=[line] * COMPRESSED_LINES
        ).SerializeToString()
        async with grpc.aio.insecure_channel(self.targets.order_grpc, options=DIRECT) as channel:
            place: Rpc = channel.unary_unary(f"/{SERVICE.full_name}/PlaceOrder")
            await _at_once(BODY_CLIENTS, lambda: self._place(place, payload))

    async def stray_messages(self) -> None:
        """Publish messages that are no events to the event log."""
        client = await nats.connect(self.targets.nats_url, connect_timeout=int(CONNECT_SECONDS))
        try:
            for headers in STRAY_HEADERS:
                acknowledged = await client.jetstream().publish(
                    f"{subjects_of(STREAM)}stray", b"\x00 stray", headers=headers
                )
                self.answers[f"stored at {acknowledged.stream}"] += 1
        except NatsError as error:
            self.answers[type(error).__name__] += 1
        finally:
            await client.close()

    async def _hold(
        self,
        address: str,
        sent: list[bytes],
        *,
        pause_seconds: float = 0.0,
        opening: asyncio.Semaphore | None = None,
    ) -> None:
        """Open a connection, send everything, and hold it until the server ends it."""
        try:
            async with opening or contextlib.nullcontext(), asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(*parse_address(address))
        except OSError as error:  # TimeoutError is one of them
            self.answers[type(error).__name__] += 1
            return
        try:
            sending = asyncio.create_task(_send(writer, sent, pause_seconds))
            try:
                head = await reader.read(CHUNK_BYTES)
                self.answers[head.partition(b"\r\n")[0].decode(errors="replace") or "closed"] += 1
            finally:
                sending.cancel()
                await asyncio.wait({sending})
        except OSError as error:
            self.answers[type(error).__name__] += 1
        finally:
            writer.close()

    async def _own_token(self, session: aiohttp.ClientSession) -> str:
        body = json.dumps({"lines": [{"sku": self.targets.sku, "quantity": 1}]}).encode()
        async with session.post(
            f"http://{self.targets.edge_http}/orders", data=body, headers=_headers(KEY)
        ) as response:
            return response.headers["Consistency-Token"]

    async def _list_with(self, session: aiohttp.ClientSession, token: str) -> None:
        url = f"http://{self.targets.edge_http}/customers/{CUSTOMER}/orders"
        await self._count(session.get(url, params={"consistency_token": token}, headers=_headers()))

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> None:
        await self._count(session.post(f"http://{self.targets.edge_http}/orders", data=body, headers=_headers()))

    async def _count(self, request: "contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]") -> None:
        try:
            async with request as response:
                document = json.loads(await response.read())
                self.answers[f"{response.status} {document.get('reason', '')}"] += 1
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.answers[type(error).__name__] += 1

    async def _watch(self, watch: "Stream") -> None:
        try:
            async for _ in watch(b""):
                self.answers["watching"] += 1
        except grpc.aio.AioRpcError as error:
            self.answers[error.code().name] += 1

    async def _place(self, place: "Rpc", payload: bytes) -> None:
        try:
            await place(payload, timeout=ANSWER_SECONDS, compression=grpc.Compression.Gzip)
            self.answers["OK"] += 1
        except grpc.aio.AioRpcError as error:
            self.answers[error.code().name] += 1


ATTACKS: Mapping[str, Callable[[Attackers], Awaitable[None]]] = {
    attack.__name__: attack
    for attack in (
        Attackers.headers_only,
        Attackers.endless_header,
        Attackers.slow_headers,
        Attackers.idle_connections,
        Attackers.forged_tokens,
        Attackers.health_watch,
        Attackers.unknown_fields,
        Attackers.compressed_lines,
        Attackers.stray_messages,
    )
}


def _headers(key: str | None = None) -> dict[str, str]:
    return {"X-Customer-Id": CUSTOMER, "Idempotency-Key": key or str(uuid4()), "Content-Type": "application/json"}


def _forged(token: str) -> str:
    at = secrets.randbelow(len(token))
    return token[:at] + secrets.choice("abcdefghijklmnopqrstuvwxyz") + token[at + 1 :]


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


async def _send(writer: asyncio.StreamWriter, sent: list[bytes], pause_seconds: float) -> None:
    with contextlib.suppress(OSError):  # the reader counts how the connection ended
        for chunk in sent:
            writer.write(chunk)
            await writer.drain()
            if pause_seconds:
                await asyncio.sleep(pause_seconds)


async def _at_once(count: int, *clients: Callable[[], Awaitable[None]]) -> None:
    """Run `count` of each client concurrently, each repeated with a pause, until cancelled."""

    async def again(client: Callable[[], Awaitable[None]]) -> None:
        while True:
            await client()
            await asyncio.sleep(PAUSE_SECONDS)

    async with asyncio.TaskGroup() as running:
        for client in clients:
            for _ in range(count):
                running.create_task(again(client))


def _write(message: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Run the attack that standard input names."""
    request = json.loads(sys.stdin.readline())
    attackers = Attackers(Targets(**request["targets"]))
    _write({"ready": True})
    if not sys.stdin.readline():
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    attacking = asyncio.ensure_future(ATTACKS[request["attack"]](attackers))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(request["seconds"]):
            await ended.wait()
    attacking.cancel()
    await asyncio.wait({attacking})
    if not attacking.cancelled() and (error := attacking.exception()):
        raise error
    _write({"answers": attackers.answers})


if __name__ == "__main__":
    asyncio.run(main())

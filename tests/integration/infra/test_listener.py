"""Limits of an HTTP listener over real sockets: no client can block others, whatever it sends or does not send."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from observability.listener.limits import KIBIBYTE, MEBIBYTE, Limits
from observability.telemetry.http import Receive, Scope, Send
from observability.telemetry.metrics import Metrics
from services.infra.address import Address
from services.infra.http_server import EDGE, HttpServer

# Of every wait: long, and over as soon as what is awaited is there.
AMPLE_SECONDS = 300.0
GET = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"


class UntilReset(asyncio.StreamReader):
    """Reads what came before a reset: a refused client may still be sending, and then the reset comes soon after."""

    def set_exception(self, exc: Exception) -> None:
        """Take an error of the connection for its end."""
        if isinstance(exc, ConnectionError):
            self.feed_eof()
        else:
            super().set_exception(exc)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return the status, the header fields and the body of the answer."""
        self.writer.write(request)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return the next answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def reason(self) -> tuple[int, str]:
        """Return the status and the reason of a refusal, after which the connection is closed."""
        status, headers, body = await self.answer()
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        problem = json.loads(body)
        assert problem["status"] == status
        assert await self.reader.read() == b""
        return status, problem["reason"]


class Served:
    """A server, the requests that its application got, and its clients."""

    def __init__(self, address: str, metrics: Metrics) -> None:
        self.host, port = address.split(":")
        self.port = int(port)
        self.bodies: list[bytes] = []
        self.headers: list[dict[bytes, bytes]] = []
        self.clients: list[Client] = []
        self._metrics = metrics

    async def connect(self) -> Client:
        """Open a connection."""
        loop = asyncio.get_running_loop()
        reader = UntilReset(loop=loop)
        transport, protocol = await loop.create_connection(
            lambda: asyncio.StreamReaderProtocol(reader, loop=loop), self.host, self.port
        )
        client = Client(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        self.clients.append(client)
        return client

    async def connect_and_ask(self, request: bytes) -> Client:
        """Open a connection on which a request is answered; again where a slow machine exceeds a short limit."""
        while True:
            client = await self.connect()
            if (await client.ask(request))[0] == HTTPStatus.OK:
                return client

    def open_count(self) -> float | None:
        """Return how many connections are open, as /metrics says."""
        return self._metrics.registry.get_sample_value("shop_http_connections", {"listener": "http"})

    def refusals(self, reason: str) -> float | None:
        """Return how many were refused for a reason, as /metrics says."""
        labels = {"listener": "http", "reason": reason}
        return self._metrics.registry.get_sample_value("shop_http_refusals_total", labels)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    while not condition():
        await asyncio.sleep(0.01)


async def body_of(receive: Receive) -> bytes:
    """Read a body as an application does."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def say(send: Send, body: bytes) -> None:
    """Answer 200."""
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(
    limits: Limits = EDGE, *, handle: Callable[[], Awaitable[bytes]] | None = None, high_water_bytes: int | None = None
) -> AsyncIterator[Served]:
    """Serve an application that keeps what it is sent, within limits."""
    served: Served

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        served.headers.append(dict(scope["headers"]))
        served.bodies.append(await body_of(receive))
        if high_water_bytes is not None:
            cast(Any, send).__self__.transport.set_write_buffer_limits(high=high_water_bytes)
        await say(send, await handle() if handle else b"hello")

    metrics = Metrics(registry=CollectorRegistry())
    server = HttpServer(
        application,
        name="http",
        listen=Address("127.0.0.1", 0),
        metrics=metrics,
        limits=limits,
    )
    served = Served((await server.start())["http"], metrics)
    async with asyncio.timeout(AMPLE_SECONDS):
        try:
            yield served
        finally:
            for client in served.clients:
                client.writer.close()
            await server.stop(grace_seconds=1)


async def test_application_is_called_when_the_body_is_whole() -> None:
    async with serving() as served:
        slow = await served.connect()
        slow.writer.write(POST % 3)
        assert (await (await served.connect()).ask(GET))[0] == 200
        assert served.bodies == [b""]
        assert (await slow.ask(b"abc"))[0] == 200
        assert served.bodies == [b"", b"abc"]


@pytest.mark.parametrize(
    "request_begins",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: shop\r\nX-Endless: ", id="value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: shop\r\n", id="name"),
        pytest.param(b"GET /", id="target"),
    ],
)
async def test_head_without_end_is_refused_long_before_its_end(request_begins: bytes) -> None:
    async with serving() as served:
        client = await served.connect()
        client.writer.write(request_begins + b"a" * 100 * KIBIBYTE)
        assert await client.reason() == (431, "HEAD_TOO_LARGE")
        assert served.bodies == []
        assert served.refusals("HEAD_TOO_LARGE") == 1


async def test_head_that_comes_in_small_pieces_is_limited_alike() -> None:
    async with serving() as served:
        answer = await asyncio.to_thread(send_in_pieces, served.host, served.port)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"HEAD_TOO_LARGE" in answer


def send_in_pieces(host: str, port: int) -> bytes:
    """Send a head without end until the connection is closed; return what came before."""
    answer = b""
    with socket.create_connection((host, port), timeout=AMPLE_SECONDS) as link:
        with suppress(ConnectionError):  # It may be refused before all is sent.
            link.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\nX-Endless: ")
            for _ in range(400):
                link.sendall(b"a" * 100)
        with suppress(ConnectionError):
            while piece := link.recv(KIBIBYTE):
                answer += piece
    return answer


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"X-Some: 1\r\n" * 200, id="many"),
        pytest.param(b"X-Long: " + b"a" * 40 * KIBIBYTE + b"\r\n", id="long"),
    ],
)
async def test_whole_head_over_the_limit_is_refused(fields: bytes) -> None:
    async with serving() as served:
        client = await served.connect()
        client.writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\n" + fields + b"\r\n")
        assert await client.reason() == (431, "HEAD_TOO_LARGE")
        assert served.bodies == []


async def test_head_that_does_not_end_in_time_is_refused() -> None:
    async with serving(Limits(head_seconds=0.2)) as served:
        client = await served.connect()
        client.writer.write(b"GET / HTTP/1.1\r\nX-")
        assert await client.reason() == (408, "HEAD_TOO_SLOW")


async def test_second_head_on_a_connection_has_the_same_time() -> None:
    async with serving(Limits(head_seconds=0.2)) as served:
        client = await served.connect_and_ask(GET)
        client.writer.write(b"GET / HTTP/1.1\r\nX-")
        assert await client.reason() == (408, "HEAD_TOO_SLOW")


async def test_silent_connection_is_closed() -> None:
    async with serving(Limits(head_seconds=0.2)) as served:
        client = await served.connect()
        await client.reader.read()
        await until(lambda: served.open_count() == 0)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(connections=10, head_seconds=AMPLE_SECONDS),
        Limits(connections_per_address=10, head_seconds=AMPLE_SECONDS),
    ],
)
async def test_silent_connections_do_not_block_others(limits: Limits) -> None:
    async with serving(limits) as served:
        for _ in range(30):
            await served.connect()
        assert (await (await served.connect()).ask(GET))[0] == 200
        await until(lambda: served.refusals("TOO_MANY_CONNECTIONS") == 21)
        await until(lambda: served.open_count() == 10)


async def test_newcomer_is_rejected_when_all_connections_are_busy() -> None:
    go_on = asyncio.Event()

    async def handle() -> bytes:
        await go_on.wait()
        return b"done"

    async with serving(Limits(connections=3), handle=handle) as served:
        clients = [await served.connect() for _ in range(3)]
        for client in clients:
            client.writer.write(POST % 1 + b"a")
        await until(lambda: len(served.bodies) == 3)
        newcomer = await served.connect()
        assert await newcomer.reason() == (503, "TOO_MANY_CONNECTIONS")
        go_on.set()
        assert [(await client.answer())[0] for client in clients] == [200, 200, 200]


@pytest.mark.parametrize(
    "request_begins",
    [
        pytest.param(POST % (256 * KIBIBYTE + 1), id="as it says itself"),
        pytest.param(CHUNKED + b"%x\r\n" % MEBIBYTE + b"a" * (257 * KIBIBYTE), id="chunked"),
        pytest.param(CHUNKED + b"1\r\na\r\n" * 120 * KIBIBYTE, id="in the smallest chunks"),
        pytest.param(CHUNKED + b"1;" + b"a" * MEBIBYTE, id="extension of a chunk"),
        pytest.param(CHUNKED + b"0\r\nX-Trailer: " + b"a" * MEBIBYTE, id="trailer"),
    ],
)
async def test_body_over_the_limit_is_refused_before_its_end(request_begins: bytes) -> None:
    async with serving() as served:
        client = await served.connect()
        client.writer.write(request_begins)
        assert (await client.answer())[0] == 413
        assert served.bodies == []
        assert served.refusals("BODY_TOO_LARGE") == 1


async def test_body_that_does_not_come_in_time_is_refused() -> None:
    async with serving(Limits(body_seconds=0.2)) as served:
        client = await served.connect()
        client.writer.write(POST % 3 + b"ab")
        assert await client.reason() == (408, "BODY_TOO_SLOW")


async def test_bodies_under_way_take_a_bounded_amount_of_memory() -> None:
    async with serving(Limits(buffered_bytes=100 * KIBIBYTE)) as served:
        first, second = await served.connect(), await served.connect()
        first.writer.write(POST % (64 * KIBIBYTE) + b"a" * 60 * KIBIBYTE)
        second.writer.write(POST % (64 * KIBIBYTE) + b"a" * 60 * KIBIBYTE)
        refused, _ = await asyncio.wait(
            [asyncio.ensure_future(each.reason()) for each in (first, second)], return_when=asyncio.FIRST_COMPLETED
        )
        assert refused.pop().result() == (503, "TOO_MANY_BODIES")


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: shop\r\nHost: shop\r\n\r\n", id="two"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="none"),
    ],
)
async def test_request_without_exactly_one_host_is_refused(request_: bytes) -> None:
    async with serving() as served:
        client = await served.connect()
        client.writer.write(request_)
        assert await client.reason() == (400, "INVALID_HOST")


async def test_what_is_not_http_is_refused() -> None:
    async with serving() as served:
        client = await served.connect()
        client.writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        assert await client.reason() == (400, "BAD_REQUEST")


async def test_trailers_are_not_taken_for_header_fields() -> None:
    async with serving() as served:
        client = await served.connect()
        await client.ask(CHUNKED + b"1\r\na\r\n0\r\nX-Customer-Id: another\r\n\r\n")
        assert served.bodies == [b"a"]
        assert b"x-customer-id" not in served.headers[0]


async def test_request_for_another_protocol_is_answered_as_it_is() -> None:
    async with serving() as served:
        client = await served.connect()
        upgrade = b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
        status, headers, _ = await client.ask(upgrade)
        assert (status, headers["connection"]) == (200, "close")


async def test_client_that_does_not_read_its_answers_is_left() -> None:
    async def handle() -> bytes:
        return bytes(4 * MEBIBYTE)

    async with serving(Limits(unread_seconds=0.2), handle=handle) as served:
        client = await served.connect()
        client.writer.write(GET * 10)
        await until(lambda: served.refusals("ANSWER_UNREAD") == 1)
        await until(lambda: served.open_count() == 0)


@pytest.mark.parametrize("request_", [GET, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
async def test_closed_connection_does_not_wait_for_its_client_to_read(request_: bytes) -> None:
    """Below the transport's high-water mark writing is not paused, but closing still waits for the reader."""

    async def handle() -> bytes:
        return bytes(16 * MEBIBYTE)

    limits = Limits(head_seconds=0.2, unread_seconds=0.2)
    async with serving(limits, handle=handle, high_water_bytes=64 * MEBIBYTE) as served:
        while not served.bodies:  # A slow machine may take longer than the limit before it sends the request.
            client = await served.connect()
            cast(asyncio.Transport, client.writer.transport).pause_reading()
            client.writer.write(request_)
            await until(lambda: bool(served.bodies) or served.open_count() == 0)
        await until(lambda: served.refusals("ANSWER_UNREAD") == 1)
        await until(lambda: served.open_count() == 0)


async def test_expectation_is_answered_when_the_body_is_read() -> None:
    async with serving() as served:
        client = await served.connect()
        client.writer.write(b"POST / HTTP/1.1\r\nHost: shop\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        assert (await client.ask(b"a"))[0] == 200

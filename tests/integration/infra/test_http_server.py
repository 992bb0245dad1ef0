"""HTTP server over real sockets: answers on kept-alive connections and during a stop."""

import asyncio
import socket

from prometheus_client import CollectorRegistry

from observability.listener.limits import Limits
from observability.telemetry.http import Application, Receive, Scope, Send
from observability.telemetry.metrics import Metrics
from services.infra.address import Address
from services.infra.http_server import EDGE, HttpServer
from tests.patience import PATIENCE_SECONDS

CLIENTS = 50
REQUEST = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"


async def empty(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer with nothing."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def make_server(application: Application = empty, limits: Limits = EDGE) -> HttpServer:
    """Make a server on a free port."""
    metrics = Metrics(registry=CollectorRegistry())
    return HttpServer(application, name="http", listen=Address("127.0.0.1", 0), metrics=metrics, limits=limits)


async def test_queued_connections_are_answered() -> None:
    """The kernel has accepted them, but the event loop has not when the stop begins."""
    server = make_server()
    host, port = (await server.start())["http"].split(":")
    clients = [socket.create_connection((host, int(port))) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(REQUEST)
        client.setblocking(False)
    inner = server._server
    serving = server._serving
    assert inner is not None
    assert serving is not None
    listeners = [socket.fromfd(each.fileno(), each.family, each.type) for each in inner.servers[0].sockets]
    await inner.shutdown(listeners)  # uvicorn's own loop would come to it up to a tenth of a second later
    serving.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        answers = [await asyncio.get_running_loop().sock_recv(client, 1024) for client in clients]
    for client in clients:
        client.close()
    assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 204 No Content"}


async def test_answers_on_a_kept_connection_are_sent_at_once() -> None:
    """Headers and body are two writes: with Nagle's algorithm the second waits for the client's acknowledgement."""
    server = make_server()
    host, port = (await server.start())["http"].split(":")
    assert server._server is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(2):
            writer.write(REQUEST)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
        (connection,) = server._server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getpeername() == writer.get_extra_info("sockname")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
        await server.stop(grace_seconds=1.0)

"""Silently lost connections, while new ones work: each client of each server recovers within seconds.

No end and no reset tells of the loss, as when a firewall forgets a connection; `plumb proxy` does the same.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from observability.network.proxy import Delay, Impairment, Proxy, rerouted
from observability.telemetry.cache import CacheTelemetry
from observability.telemetry.spans import Rejections, make_exporter
from observability.telemetry.telemetry import unobserved
from services.infra import deadline, valkey_store
from services.infra.address import parse_address
from services.infra.cache import CacheUnavailable
from services.infra.postgres import KEEPALIVE_OPTIONS, Database
from services.infra.rpc.client import open_channel
from services.infra.valkey_store import MOST_CONNECTIONS, ValkeyStore
from services.inventory import api
from services.inventory.rpc.client import InventoryClient
from services.kernel.errors import CircuitOpen, ServiceError
from services.local.servers.valkey import EmbeddedValkey
from tests.fakes.inventory import FakeInventory
from tests.integration.infra.calling import real_server
from tests.patience import PATIENCE_SECONDS

CONNECTIONS = 4
# Of each of them. Together they are more than a breaker lets through before it is closed, and soon open it.
CALLS = 4
CONTEXT = SpanContext(trace_id=1, span_id=1, is_remote=False)
# As many as a server's callers make meanwhile, until one is answered.
PAUSE_SECONDS = 0.05
Ask = Callable[[], Awaitable[object]]


@asynccontextmanager
async def proxied(address: str) -> AsyncIterator[Proxy]:
    """Put a proxy before host:port."""
    target = parse_address(address)
    async with Proxy.open(target=(target.host, target.port), delay=Delay(latency_seconds=0.0), seed=1) as proxy:
        yield proxy


async def all_at_once(ask: Ask) -> None:
    """Ask so many times at once that each connection is made; raise the first error when all have ended."""
    for result in await asyncio.gather(*(ask() for _ in range(CONNECTIONS)), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


@asynccontextmanager
async def silence(proxy: Proxy) -> AsyncIterator[None]:
    """Lose all connections without a word during a with block, while new ones pass.

    One that nobody watches over is still open at the end: the system does not tell of the loss for many minutes.
    """
    host, _, port = proxy.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    unwatched = asyncio.create_task(reader.read())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(proxy._targets) < len(proxy._clients):  # one that is not through yet is a new one
            await asyncio.sleep(PAUSE_SECONDS)
    with proxy.impaired(Impairment.HALF_OPEN):
        yield
        assert not unwatched.done()
    unwatched.cancel()
    writer.close()


async def until_well(ask: Ask, *errors: type[Exception]) -> None:
    """Ask all at once until none fails."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await all_at_once(ask)
            except errors:
                await asyncio.sleep(PAUSE_SECONDS)


async def assert_back(proxy: Proxy, ask: Ask, *errors: type[Exception]) -> None:
    """Lose all connections without a word, and ask until all is well again, before the system tells of the loss."""
    await until_well(ask, *errors)
    async with silence(proxy):
        await until_well(ask, *errors)


@pytest.mark.full
async def test_a_channel_to_inventory_is_back() -> None:
    """And the breaker, which opened meanwhile, lets all calls through while the lost connection is still silent."""
    telemetry = unobserved("test")
    opened = False
    async with (
        real_server(FakeInventory(), telemetry) as target,
        proxied(target) as proxy,
        open_channel(proxy.address) as channel,
    ):
        client = InventoryClient(channel, target=proxy.address, telemetry=telemetry)

        async def ask() -> None:
            nonlocal opened
            calls = (client.get_stock(api.GetStock(("A",))) for _ in range(CALLS))
            results = await asyncio.gather(*calls, return_exceptions=True)
            errors = [result for result in results if isinstance(result, ServiceError)]
            opened |= any(isinstance(error, CircuitOpen) for error in errors)
            if errors:
                raise errors[0]

        await until_well(ask, ServiceError)
        opened = False
        await assert_back(proxy, ask, ServiceError)
    assert opened


async def test_a_pool_of_postgresql_is_back(order_dsn: str) -> None:
    """Each lost connection costs the request that finds it, and no other."""
    dsn_address = order_dsn.partition("@")[2].partition("/")[0]
    async with proxied(dsn_address) as proxy:
        dsn = rerouted(order_dsn, proxy.address)
        database = await Database.open(dsn, pool_size=CONNECTIONS, telemetry=unobserved("test"))

        async def ask() -> None:
            with deadline.within(1.0):
                await database.fetch("SELECT 1", "SELECT 1, pg_sleep(0.01)")

        await assert_back(proxy, ask, ServiceError)
        await database.close(timeout_seconds=0)


async def test_a_pool_of_valkey_is_back(valkey_server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lost connection costs the request that finds it the limit of an answer."""
    async with proxied(valkey_server.url.partition("@")[2].partition("/")[0]) as proxy:
        url = rerouted(valkey_server.url, proxy.address)
        monkeypatch.setattr(valkey_store, "LIMIT_SECONDS", 0.5)
        store = ValkeyStore.open(url, telemetry=CacheTelemetry(unobserved("test"), "test"))
        assert CONNECTIONS == MOST_CONNECTIONS
        await assert_back(proxy, lambda: store.read(["key"]), CacheUnavailable)
        await store.close()


async def test_the_kernel_gives_up_a_silent_connection_to_postgresql(order_dsn: str) -> None:
    """Unacknowledged bytes, and an idle connection."""
    database = await Database.open(order_dsn, pool_size=1, telemetry=unobserved("test"))
    async with database._pool.acquire() as connection:
        transport = connection._con._transport  # type: ignore[attr-defined]
        link = transport.get_extra_info("socket")
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for name, value in KEEPALIVE_OPTIONS.items():
            if option := getattr(socket, name, None):
                assert link.getsockopt(socket.IPPROTO_TCP, option) == value
    await database.close(timeout_seconds=5)


async def test_the_kernel_gives_up_a_silent_connection_to_a_collector() -> None:
    """A collector allows a ping each five minutes: what is sent and not acknowledged must tell by itself."""
    telemetry = unobserved("test")
    async with real_server(FakeInventory(), telemetry) as target:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OTEL_TRACES_EXPORTER", "otlp")
            patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{target}")
            patch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
            exporter = make_exporter(Rejections(), console=StringIO())
        assert exporter is not None
        await asyncio.to_thread(exporter.export, [ReadableSpan("test", context=CONTEXT)])
        port = parse_address(target).port
        limits = [limit for limit in user_timeouts_to(port) if limit]
        await asyncio.to_thread(exporter.shutdown)
    assert limits == [10_000]


def user_timeouts_to(port: int) -> list[int]:
    """Return TCP_USER_TIMEOUT, in milliseconds, of each connection of this process to a port."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        if not (entry.is_symlink() and str(entry.readlink()).startswith("socket:")):
            continue
        with socket.socket(fileno=os.dup(int(entry.name))) as link:
            try:
                peer = link.getpeername()
            except OSError:  # a listener
                continue
            if isinstance(peer, tuple) and peer[1] == port:
                found.append(link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    return found

"""Cache on a real Valkey server, also when that is killed, stopped, full, foreign or missing."""

import asyncio
import os
import random
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from observability.telemetry.cache import CacheTelemetry
from observability.telemetry.telemetry import Telemetry
from services.infra import cache
from services.infra.cache import Cache, CacheUnavailable
from services.infra.valkey_store import MOST_CONNECTIONS, ValkeyStore
from services.local.servers.ports import local_address, loopback
from services.local.servers.valkey import EmbeddedValkey, ValkeyStart, start_valkey
from tests.patience import PATIENCE_SECONDS
from tests.unit.infra.test_cache import Numbers
from tests.unit.telemetry.counted import counted, counting

LIFETIME_SECONDS = 60.0
# A frozen server costs each of the first commands that long.
SHORT_SECONDS = 0.05
NAMES = tuple(map(str, range(100, 120)))


@dataclass
class Front:
    """A cache in a real server, before a source that counts."""

    store: ValkeyStore
    telemetry: Telemetry
    lifetime_seconds: float = LIFETIME_SECONDS
    now: float = 0.0
    reads: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.cache = Cache(
            self.source,
            store=self.store,
            codec=Numbers(),
            lifetime_seconds=self.lifetime_seconds,
            telemetry=CacheTelemetry(self.telemetry, "numbers"),
            clock=lambda: self.now,
            draw=random.Random(7).random,
        )

    async def source(self, names: tuple[str, ...]) -> Mapping[str, int]:
        """Return the numbers."""
        self.reads.update(names)
        await asyncio.sleep(0)
        return {name: int(name) for name in names}

    def counted(self, result: str) -> float:
        """How many keys had a result."""
        return counted(self.telemetry, "shop_cache_lookups_total", context="shop", cache="numbers", result=result)


@asynccontextmanager
async def front_of(url: str, *, lifetime_seconds: float = LIFETIME_SECONDS) -> AsyncIterator[Front]:
    """Yield a cache on the server at a URL."""
    telemetry = counting("shop")
    store = ValkeyStore.open(url, telemetry=CacheTelemetry(telemetry, "numbers"))
    try:
        yield Front(store, telemetry, lifetime_seconds)
    finally:
        await store.close()


@pytest.fixture
async def front(valkey_server: EmbeddedValkey) -> AsyncIterator[Front]:
    """Yield a cache on an empty server."""
    async with front_of(valkey_server.url) as opened:
        yield opened


async def test_values_are_shared_between_processes(front: Front, valkey_server: EmbeddedValkey) -> None:
    await front.cache.get(NAMES)
    async with front_of(valkey_server.url) as other:
        assert await other.cache.get(NAMES) == {name: int(name) for name in NAMES}
        assert other.reads == {}
        assert other.counted("hit") == len(NAMES)


async def test_a_value_is_gone_when_its_lifetime_is_over(valkey_server: EmbeddedValkey) -> None:
    """Of a lifetime of a few milliseconds, by the server's own clock."""
    async with front_of(valkey_server.url, lifetime_seconds=0.005) as front:
        await front.cache.get(("100",))
        for _ in range(1_000):
            if await front.store.read(["numbers:3:100"]) == [None]:
                break
            await asyncio.sleep(0.001)
        await front.cache.get(("100",))
    assert front.reads == {"100": 2}


async def test_every_value_has_an_end_and_hardly_two_the_same(front: Front) -> None:
    await front.cache.get(NAMES)
    left = [await front.store._client.pttl(f"numbers:3:{name}") for name in NAMES]
    assert all(0 < milliseconds <= 1000 * LIFETIME_SECONDS for milliseconds in left)
    assert len(set(left)) > len(NAMES) / 2


async def test_a_server_that_is_killed_in_the_middle_costs_no_answer(
    front: Front, valkey_server: EmbeddedValkey
) -> None:
    """Requests go on without a pause; each is answered, whatever the server did meanwhile."""
    answers = list[Mapping[str, int]]()

    async def ask() -> None:
        for _ in range(200):
            answers.append(await front.cache.get(NAMES))
            front.now += 0.001

    asking = [asyncio.create_task(ask()) for _ in range(5)]
    while len(answers) < 100:
        await asyncio.sleep(0)
    valkey_server.process.end_wanted = True
    os.kill(valkey_server.process.pid, signal.SIGKILL)
    await asyncio.gather(*asking)
    assert answers == [{name: int(name) for name in NAMES}] * 1_000
    assert front.counted("unavailable") > 0


async def test_a_frozen_server_costs_a_short_wait_and_is_used_again(
    front: Front, valkey_server: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that came too late is not taken for that to a later question."""
    await front.cache.get(("100",))
    os.kill(valkey_server.process.pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(cache, "WAIT_SECONDS", SHORT_SECONDS)
            async with asyncio.timeout(PATIENCE_SECONDS):
                for name in NAMES[1:]:
                    assert await front.cache.get((name,)) == {name: int(name)}
    finally:
        os.kill(valkey_server.process.pid, signal.SIGCONT)
    front.now += 60.0
    for name in reversed(NAMES):
        assert await front.cache.get((name,)) == {name: int(name)}
    assert await front.cache.get(NAMES) == {name: int(name) for name in NAMES}
    assert front.counted("hit") > len(NAMES)


async def test_callers_that_leave_in_the_middle_leave_no_answer_behind(
    front: Front, valkey_server: EmbeddedValkey
) -> None:
    """A naive client returns the answer of a cancelled command to the next command."""
    await front.cache.get(NAMES)
    os.kill(valkey_server.process.pid, signal.SIGSTOP)
    cut_off = [asyncio.create_task(front.store.read([f"numbers:3:{name}"])) for name in NAMES]
    for _ in range(20):
        await asyncio.sleep(0)
    for task in cut_off:
        task.cancel()
    await asyncio.gather(*cut_off, return_exceptions=True)
    os.kill(valkey_server.process.pid, signal.SIGCONT)
    for name in reversed(NAMES):
        assert await front.store.read([f"numbers:3:{name}"]) == [name.encode()]


async def test_an_emptied_server_is_filled_again(valkey_start: ValkeyStart) -> None:
    async with AsyncExitStack() as stack:
        server = await start_valkey(valkey_start, stack=stack)
        async with front_of(server.url) as front:
            await front.cache.get(NAMES)
            await server.process.end_by(signal.SIGKILL, limit_seconds=5.0)
            for _ in range(5):
                await front.cache.get(("100",))
            await start_valkey(replace(valkey_start, port=server.port), stack=stack)
            front.now += 60.0
            hits = front.counted("hit")
            await front.cache.get(NAMES)
            await front.cache.get(NAMES)
            assert front.counted("hit") == hits + len(NAMES)


async def test_a_full_server_evicts_unused_keys_for_new_ones(valkey_start: ValkeyStart) -> None:
    async with AsyncExitStack() as stack:
        server = await start_valkey(replace(valkey_start, memory="3mb"), stack=stack)
        store = ValkeyStore.open(server.url, telemetry=CacheTelemetry(counting("shop"), "numbers"))
        stack.push_async_callback(store.close)
        for number in range(100):
            key = f"big:{number}"
            await store.write({key: bytes(100_000)}, {key: LIFETIME_SECONDS})
        kept = await store.read([f"big:{number}" for number in range(100)])
        assert kept[-1] is not None
        assert kept[0] is None


async def test_a_wrong_password_makes_the_cache_unavailable(valkey_server: EmbeddedValkey) -> None:
    async with front_of(f"valkey://:wrong@{local_address(valkey_server.port)}/0") as front:
        assert await front.cache.get(("100",)) == {"100": 100}
        assert front.counted("unavailable") == 1


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"$-1"])
async def test_a_foreign_server_makes_the_cache_unavailable(greeting: bytes) -> None:
    """It speaks another protocol, hangs up, or stops in the middle."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(serve, loopback(), 0)
    async with server, front_of(f"valkey://{local_address(server.sockets[0].getsockname()[1])}") as front:
        with pytest.raises(CacheUnavailable):
            await front.store.read(["a"])


async def test_a_port_without_a_listener_is_waited_for_briefly() -> None:
    """A server behind a full queue of connections takes no part in the handshake."""
    family = local_address(0).family
    with socket.socket(family) as dark, socket.socket(family) as first, socket.socket(family) as second:
        dark.bind(local_address(0))
        dark.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(dark.getsockname())
        async with front_of(f"valkey://{local_address(dark.getsockname()[1])}") as front:
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await front.cache.get(("100",)) == {"100": 100}


async def test_more_askers_than_connections_take_turns(front: Front) -> None:
    await front.cache.get(NAMES)
    reads = (front.store.read([f"numbers:3:{name}"]) for name in NAMES * 10)
    assert await asyncio.gather(*reads) == [[name.encode()] for name in NAMES * 10]
    clients = await front.store._client.client_list()
    assert len(clients) <= MOST_CONNECTIONS


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:6379", "valkey://127.0.0.1:port"])
def test_a_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ValkeyStore.open(url, telemetry=CacheTelemetry(counting("shop"), "numbers"))

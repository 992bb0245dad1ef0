"""Tests of the impairments: what both sides of a connection see during and after each."""

import asyncio
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable

import pytest

from observability.network import proxy as module
from observability.network.proxy import Delay, Impairment, Proxy
from tests.integration.network.through_proxy import SOON, connected, echo, proxied
from tests.patience import PATIENCE_SECONDS

SHORT_SECONDS = 0.2
RATE = 100_000
LENGTH = 50_000


class Listener:
    """Records what its connections send, and whether they ended or were reset."""

    def __init__(self) -> None:
        self.received = b""
        self.ends: list[str] = []
        self.ended = asyncio.Event()

    async def talk(self, reader: StreamReader, _writer: StreamWriter) -> None:
        """Listen to one connection until it is over."""
        try:
            while data := await reader.read(1024):
                self.received += data
            self.ends.append("end")
        except ConnectionResetError:
            self.ends.append("reset")
        self.ended.set()


async def is_silent(reader: StreamReader) -> bool:
    """Return whether nothing arrives for a while, neither bytes nor an end."""
    try:
        async with asyncio.timeout(SHORT_SECONDS):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def ask(reader: StreamReader, writer: StreamWriter, data: bytes = b"x") -> bytes:
    """Send bytes and return what comes back."""
    writer.write(data)
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await reader.readexactly(len(data))


async def test_a_reset_ends_open_and_new_connections() -> None:
    async with proxied(echo) as proxy, connected(proxy) as (reader, writer):
        assert await ask(reader, writer) == b"x"
        with proxy.impaired(Impairment.RESET):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            async with connected(proxy) as (other, _):
                with pytest.raises(ConnectionResetError):
                    await other.read(1)
        async with connected(proxy) as newcomer:
            assert await ask(*newcomer) == b"x"


async def test_a_blackhole_holds_bytes_and_then_passes_them_in_order() -> None:
    async with proxied(echo) as proxy, connected(proxy) as (reader, writer):
        assert await ask(reader, writer) == b"x"
        with proxy.impaired(Impairment.BLACKHOLE):
            writer.write(b"first, ")
            assert await is_silent(reader)
            writer.write(b"second")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reader.readexactly(13) == b"first, second"


async def test_a_connect_in_a_blackhole_is_served_after_it() -> None:
    async with proxied(echo) as proxy:
        with proxy.impaired(Impairment.BLACKHOLE):
            host, port = proxy.address.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"x")
            assert await is_silent(reader)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reader.readexactly(1) == b"x"
        writer.close()


async def test_a_client_that_leaves_in_a_blackhole_is_noticed_after_it() -> None:
    listener = Listener()
    async with proxied(listener.talk) as proxy, connected(proxy) as (_, writer):
        writer.write(b"x")
        await until(lambda: listener.received == b"x")
        with proxy.impaired(Impairment.BLACKHOLE):
            writer.transport.abort()
            await asyncio.sleep(SHORT_SECONDS)
            assert listener.ends == []
        async with asyncio.timeout(PATIENCE_SECONDS):
            await listener.ended.wait()
        assert listener.ends == ["end"]


async def test_a_client_that_leaves_in_a_blackhole_leaves_nothing() -> None:
    async with proxied(echo) as proxy:
        with proxy.impaired(Impairment.BLACKHOLE):
            async with connected(proxy):
                pass
            await asyncio.sleep(SHORT_SECONDS)
        async with connected(proxy) as (reader, writer):
            assert await ask(reader, writer) == b"x"


async def test_a_half_open_connection_is_silent_and_reset_afterwards() -> None:
    listener = Listener()
    async with proxied(listener.talk) as proxy, connected(proxy) as (reader, writer):
        writer.write(b"x")
        await until(lambda: listener.received == b"x")
        with proxy.impaired(Impairment.HALF_OPEN):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await listener.ended.wait()
            assert listener.ends == ["reset"]
            writer.write(b"lost")
            assert await is_silent(reader)
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await reader.read(1)
        assert listener.received == b"x"


async def test_new_connections_pass_while_old_ones_are_half_open() -> None:
    async with proxied(echo) as proxy, connected(proxy) as (reader, writer):
        assert await ask(reader, writer) == b"x"
        with proxy.impaired(Impairment.HALF_OPEN):
            async with connected(proxy) as (other, to_other):
                assert await ask(other, to_other) == b"x"


async def test_a_slow_close_delays_the_end_and_not_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW_CLOSE_SECONDS", SHORT_SECONDS)
    listener = Listener()
    async with proxied(listener.talk) as proxy, connected(proxy) as (_, writer):
        with proxy.impaired(Impairment.SLOW_CLOSE):
            writer.write(b"x")
            writer.write_eof()
            sent = time.monotonic()
            await until(lambda: listener.received == b"x")
            assert listener.ends == []
            async with asyncio.timeout(PATIENCE_SECONDS):
                await listener.ended.wait()
            assert time.monotonic() - sent >= SHORT_SECONDS
        assert listener.ends == ["end"]


@pytest.mark.parametrize("narrow_by", ["delay", "fault"])
async def test_a_narrow_network_passes_bytes_at_its_bandwidth(narrow_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way: what is sent there and echoed back takes twice its time."""
    monkeypatch.setattr(module, "NARROW_BYTES_PER_SECOND", RATE)
    delay = Delay(latency_seconds=0.0, bytes_per_second=RATE) if narrow_by == "delay" else SOON
    async with proxied(echo, delay) as proxy, connected(proxy) as (reader, writer):
        began = time.monotonic()
        if narrow_by == "fault":
            with proxy.impaired(Impairment.NARROW):
                assert len(await ask(reader, writer, bytes(LENGTH))) == LENGTH
        else:
            assert len(await ask(reader, writer, bytes(LENGTH))) == LENGTH
        assert time.monotonic() - began >= LENGTH / RATE


async def test_a_proxy_has_one_impairment_at_a_time() -> None:
    async with proxied(echo) as proxy:
        with (
            proxy.impaired(Impairment.RESET),
            pytest.raises(ValueError, match="reset"),
            proxy.impaired(Impairment.NARROW),
        ):
            pass
        await passes(proxy)


async def passes(proxy: Proxy) -> None:
    """Check that a connection works."""
    async with connected(proxy) as (reader, writer):
        assert await ask(reader, writer) == b"x"


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until a condition holds, which only the event loop can bring about."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():
            await asyncio.sleep(0.005)

"""What do both sides of a connection see while the network between them has a fault, and what once it is over?"""

import asyncio
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable

import pytest

from observability.network import proxy as module
from observability.network.proxy import Delay, Impairment, Proxy
from tests.integration.network.test_proxy import SOON, connected, echo, proxied
from tests.patience import PATIENCE_SECONDS

SHORT_SECONDS = 0.2
RATE = 100_000
LENGTH = 50_000


class Listener:
    """Keeps what its connections bring, and whether they ended or were cut off."""

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
    """Say whether nothing comes for a while, neither bytes nor an end."""
    try:
        async with asyncio.timeout(SHORT_SECONDS):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def ask(reader: StreamReader, writer: StreamWriter, data: bytes = b"x") -> bytes:
    """Send something and return what comes back."""
    writer.write(data)
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await reader.readexactly(len(data))


async def test_a_reset_cuts_what_there_is_and_what_comes() -> None:
    async with proxied(echo) as proxy, connected(proxy) as (reader, writer):
        assert await ask(reader, writer) == b"x"
        with proxy.suffering(Impairment.RESET):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            async with connected(proxy) as (other, _):
                with pytest.raises(ConnectionResetError):
                    await other.read(1)
        async with connected(proxy) as newcomer:
            assert await ask(*newcomer) == b"x"


async def test_a_blackhole_passes_nothing_until_it_is_over_and_then_all_of_it_in_order() -> None:
    async with proxied(echo) as proxy, connected(proxy) as (reader, writer):
        assert await ask(reader, writer) == b"x"
        with proxy.suffering(Impairment.BLACKHOLE):
            writer.write(b"first, ")
            assert await is_silent(reader)
            writer.write(b"second")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reader.readexactly(13) == b"first, second"


async def test_who_connects_into_a_blackhole_is_heard_once_it_is_over() -> None:
    async with proxied(echo) as proxy:
        with proxy.suffering(Impairment.BLACKHOLE):
            host, port = proxy.address.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"x")
            assert await is_silent(reader)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reader.readexactly(1) == b"x"
        writer.close()


async def test_who_leaves_in_a_blackhole_is_missed_once_it_is_over() -> None:
    listener = Listener()
    async with proxied(listener.talk) as proxy, connected(proxy) as (_, writer):
        writer.write(b"x")
        await until(lambda: listener.received == b"x")
        with proxy.suffering(Impairment.BLACKHOLE):
            writer.transport.abort()
            await asyncio.sleep(SHORT_SECONDS)
            assert listener.ends == []
        async with asyncio.timeout(PATIENCE_SECONDS):
            await listener.ended.wait()
        assert listener.ends == ["end"]


async def test_who_leaves_before_a_blackhole_let_anybody_know_of_the_connection_leaves_nothing_behind() -> None:
    async with proxied(echo) as proxy:
        with proxy.suffering(Impairment.BLACKHOLE):
            async with connected(proxy):
                pass
            await asyncio.sleep(SHORT_SECONDS)
        async with connected(proxy) as (reader, writer):
            assert await ask(reader, writer) == b"x"


async def test_a_half_open_connection_takes_everything_says_nothing_and_is_reset_when_used_afterwards() -> None:
    listener = Listener()
    async with proxied(listener.talk) as proxy, connected(proxy) as (reader, writer):
        writer.write(b"x")
        await until(lambda: listener.received == b"x")
        with proxy.suffering(Impairment.HALF_OPEN):
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
        with proxy.suffering(Impairment.HALF_OPEN):
            async with connected(proxy) as (other, to_other):
                assert await ask(other, to_other) == b"x"


async def test_an_end_is_slow_to_come_and_bytes_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW_CLOSE_SECONDS", SHORT_SECONDS)
    listener = Listener()
    async with proxied(listener.talk) as proxy, connected(proxy) as (_, writer):
        with proxy.suffering(Impairment.SLOW_CLOSE):
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
async def test_so_much_passes_in_a_second_and_no_more(narrow_by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way: what is sent there and echoed back takes twice its time."""
    monkeypatch.setattr(module, "NARROW_BYTES_PER_SECOND", RATE)
    delay = Delay(latency_seconds=0.0, bytes_per_second=RATE) if narrow_by == "delay" else SOON
    async with proxied(echo, delay) as proxy, connected(proxy) as (reader, writer):
        began = time.monotonic()
        if narrow_by == "fault":
            with proxy.suffering(Impairment.NARROW):
                assert len(await ask(reader, writer, bytes(LENGTH))) == LENGTH
        else:
            assert len(await ask(reader, writer, bytes(LENGTH))) == LENGTH
        assert time.monotonic() - began >= LENGTH / RATE


async def test_a_proxy_suffers_one_fault_at_a_time() -> None:
    async with proxied(echo) as proxy:
        with (
            proxy.suffering(Impairment.RESET),
            pytest.raises(ValueError, match="reset"),
            proxy.suffering(Impairment.NARROW),
        ):
            pass
        await passes(proxy)


async def passes(proxy: Proxy) -> None:
    """See that a connection works."""
    async with connected(proxy) as (reader, writer):
        assert await ask(reader, writer) == b"x"


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, which only the loop can bring about."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():
            await asyncio.sleep(0.005)

"""Tests of the proxy on both event loops: a connection through it is the same, only delayed."""

import asyncio
import random
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
import uvloop

from observability.network import proxy as module
from observability.network.loss import FIRST_SECONDS, Loss
from observability.network.proxy import MOST_BYTES, MOST_CHUNKS, Delay, Proxy
from services.local.servers.ports import free_port, local_address
from tests.integration.network.through_proxy import (
    NEVER,
    READ_AT_MOST_BYTES,
    SOON,
    Guest,
    Noting,
    between,
    connected,
    deaf_target,
    echo,
    empty,
    end_of,
    proxied,
    reset,
    target,
    until,
)

# What shall replace it, a hook, would be in conftest.py and of every test in this folder.
pytestmark = pytest.mark.filterwarnings('ignore:Overriding the "event_loop_policy" fixture')


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


@pytest.fixture(autouse=True)
def nothing_unhandled(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail when a loop reported an unhandled error."""
    yield
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_bytes_take_at_least_the_latency_each_way() -> None:
    noting = Noting()
    delay = Delay(latency_seconds=0.03)
    async with proxied(noting.talk, delay) as proxy, connected(proxy) as connection:
        took = [await noting.ask(connection) for _ in range(5)]
    assert min(seconds for pair in took for seconds in pair) >= delay.latency_seconds


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_seed_fixes_the_jitter_of_each_chunk_each_way(seed: int) -> None:
    """No chunk arrives before its own draw; with other draws, some of so many chunks would."""
    noting = Noting()
    there, back = random.Random(f"{seed} 0 client"), random.Random(f"{seed} 0 target")
    delay = Delay(latency_seconds=0.0, jitter_seconds=0.03)
    async with proxied(noting.talk, delay, seed=seed) as proxy, connected(proxy) as connection:
        took = [await noting.ask(connection) for _ in range(20)]
    least = [(there.random() * delay.jitter_seconds, back.random() * delay.jitter_seconds) for _ in took]
    early = [pair for pair, floor in zip(took, least, strict=True) if pair[0] < floor[0] or pair[1] < floor[1]]
    assert early == []


async def test_jitter_overtakes_nothing() -> None:
    delay = Delay(latency_seconds=0.001, jitter_seconds=0.02)
    numbers = b"".join(struct.pack("!I", number) for number in range(2000))
    async with proxied(echo, delay) as proxy, connected(proxy) as (reader, writer):
        for begin in range(0, len(numbers), 16):
            writer.write(numbers[begin : begin + 16])
            await asyncio.sleep(0)
        assert await reader.readexactly(len(numbers)) == numbers


async def test_a_lost_chunk_arrives_after_its_retransmission() -> None:
    noting = Noting()
    delay = Delay(latency_seconds=0.0, loss=Loss(share=1.0, again=0.0))
    async with proxied(noting.talk, delay) as proxy, connected(proxy) as connection:
        took = [await noting.ask(connection) for _ in range(2)]
    assert min(seconds for pair in took for seconds in pair) >= FIRST_SECONDS


async def test_a_target_that_speaks_first_is_heard() -> None:
    async with between() as (_, (reader, _client), (_target, writer)):
        writer.write(b"INFO")
        assert await reader.readexactly(4) == b"INFO"


async def test_a_half_closed_client_gets_its_whole_answer() -> None:
    async def answer_at_the_end(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(await reader.read() * 1000)

    async with proxied(answer_at_the_end) as proxy, connected(proxy) as (reader, writer):
        writer.write(b"question" * 1000)
        writer.write_eof()
        assert await reader.read() == b"question" * 1_000_000
        await until(lambda: empty(proxy))


async def test_a_late_reader_gets_its_whole_answer_after_both_closed() -> None:
    answer = random.Random(1).randbytes(32 * MOST_BYTES)
    async with between() as (proxy, (reader, writer), (_, answering)):
        writer.transport.pause_reading()  # type: ignore[attr-defined] # A stream's transport reads as well.
        (side,) = proxy._clients
        assert side._transport is not None
        side._transport.set_write_buffer_limits(2 * len(answer))  # More than the kernel takes is left to be sent.
        writer.write_eof()
        answering.write(answer)
        answering.write_eof()
        await until(lambda: not proxy._targets)
        assert side._transport.get_write_buffer_size() > 0
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await reader.read() == answer


async def test_a_target_that_has_ended_its_direction_still_hears() -> None:
    async with between() as (_, (reader, writer), (heard, answering)):
        answering.write_eof()
        assert await reader.read() == b""
        writer.write(b"still here")
        assert await heard.readexactly(10) == b"still here"


async def test_a_reset_overtakes_the_bytes_in_transit() -> None:
    async with between(NEVER) as (proxy, (_, writer), (heard, _target)):
        writer.write(b"lost")
        await until(lambda: any(client._in_transit for client in proxy._clients))
        reset(writer)
        assert await end_of(heard) == "reset"
        await until(lambda: empty(proxy))


async def test_a_reset_by_the_target_reaches_the_client_at_once() -> None:
    async with between(NEVER) as (proxy, (reader, _), (_heard, answering)):
        reset(answering)
        assert await end_of(reader) == "reset"
        await until(lambda: empty(proxy))


async def test_a_half_closed_client_that_resets_leaves_nothing() -> None:
    """Its reset comes when the proxy no longer reads from it, and is noticed by a write."""
    async with between() as (proxy, (_, writer), (heard, answering)):
        writer.write_eof()
        assert await heard.read() == b""
        reset(writer)
        await asyncio.sleep(0.01)
        answering.write_eof()
        await until(lambda: empty(proxy))


async def test_bytes_in_transit_are_bounded_and_arrive_later() -> None:
    sent = random.Random(1).randbytes(32 * MOST_BYTES)
    async with between() as (proxy, (_, writer), (heard, answering)):
        answering.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(sent)
        writer.write_eof()
        (side,) = proxy._clients
        await until(lambda: not side._reading)
        assert side._transport is not None
        assert not side._transport.is_reading()
        assert side._bytes_in_transit < MOST_BYTES + READ_AT_MOST_BYTES
        assert side.other._transport is not None
        assert side.other._transport.get_write_buffer_size() <= 2 * READ_AT_MOST_BYTES
        answering.transport.resume_reading()  # type: ignore[attr-defined]
        assert await heard.read() == sent


async def test_chunks_in_transit_are_bounded_as_well() -> None:
    async with between(NEVER) as (proxy, _client, _target):
        (side,) = proxy._clients
        assert side._transport is not None
        for _ in range(MOST_CHUNKS - 1):
            side.data_received(b"x")
        assert side._transport.is_reading()
        side.data_received(b"x")
        assert not side._transport.is_reading()


async def test_no_side_waits_to_fill_a_packet() -> None:
    async with between() as (proxy, _client, _target):
        for side in (*proxy._clients, *proxy._targets):
            assert side._transport is not None
            connection = side._transport.get_extra_info("socket")
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_target_that_refuses_resets_the_client() -> None:
    async with Proxy.open(target=local_address(free_port()), delay=SOON, seed=1) as proxy:
        async with connected(proxy) as (reader, _):
            assert await end_of(reader) == "reset"
        assert proxy.rejected == 1


async def test_a_target_that_does_not_answer_resets_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.05)
    with deaf_target() as address:
        async with Proxy.open(target=address, delay=SOON, seed=1) as proxy, connected(proxy) as (reader, _):
            assert await end_of(reader) == "reset"
            assert proxy.rejected == 1


async def test_a_client_that_leaves_before_the_connect_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, connect, guest = asyncio.Event(), Proxy._connect, Guest()

    async def connect_late(proxy: Proxy, client: module._Side) -> None:
        await gone.wait()
        await connect(proxy, client)

    monkeypatch.setattr(Proxy, "_connect", connect_late)
    async with proxied(guest.talk) as proxy:
        async with connected(proxy) as (_, writer):
            await until(lambda: bool(proxy._connecting))
            reset(writer)
            await until(lambda: not proxy._clients)
            gone.set()
        heard, _ = await guest.connection()
        assert await end_of(heard) == "reset"
        guest.leave()
        await until(lambda: empty(proxy))


async def test_each_of_many_connections_gets_its_own_answer() -> None:
    async with proxied(echo) as proxy:

        async def ask(number: int) -> bytes:
            async with connected(proxy) as (reader, writer):
                writer.write(b"%d" % number)
                writer.write_eof()
                return await reader.read()

        answers = await asyncio.gather(*(ask(number) for number in range(200)))
        assert answers == [b"%d" % number for number in range(200)]
        await until(lambda: empty(proxy))


async def test_one_connection_too_many_is_reset_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 1)
    async with proxied(echo) as proxy:
        async with connected(proxy) as (reader, writer):
            await until(lambda: len(proxy._clients) == 1)
            async with connected(proxy) as (too_many, _):
                assert await end_of(too_many) == "reset"
            assert proxy.rejected == 1
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        await until(lambda: empty(proxy))
        async with connected(proxy) as (reader, writer):
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"


async def test_stopping_resets_connections_and_closes_the_port() -> None:
    guest = Guest()
    async with target(guest.talk) as address, AsyncExitStack() as clients:
        async with Proxy.open(target=address, delay=NEVER, seed=1) as proxy:
            reader, writer = await clients.enter_async_context(connected(proxy))
            heard, _ = await guest.connection()
            writer.write(b"under way")
        assert empty(proxy)
        assert [await end_of(reader), await end_of(heard)] == ["reset", "reset"]
        guest.leave()
        with pytest.raises(ConnectionRefusedError):
            await clients.enter_async_context(connected(proxy))


async def test_at_its_end_it_waits_for_no_target_that_does_not_answer() -> None:
    with deaf_target() as address:
        async with AsyncExitStack() as clients:
            async with Proxy.open(target=address, delay=SOON, seed=1) as proxy:
                reader, _ = await clients.enter_async_context(connected(proxy))
                await until(lambda: bool(proxy._connecting))
            assert empty(proxy)
            assert await end_of(reader) == "reset"


async def test_a_cancellation_passes_through_and_closes_it() -> None:
    opened: asyncio.Future[Proxy] = asyncio.get_running_loop().create_future()

    async def keep_open() -> None:
        async with Proxy.open(target=local_address(1), delay=SOON, seed=1) as proxy:
            opened.set_result(proxy)
            await asyncio.Event().wait()

    task = asyncio.create_task(keep_open())
    proxy = await opened
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionRefusedError):
        async with connected(proxy):
            pass


@pytest.mark.parametrize(("latency", "jitter"), [(-0.001, 0.0), (0.0, -0.001), (float("nan"), 0.0), (0, float("inf"))])
def test_a_negative_or_infinite_delay_is_rejected(latency: float, jitter: float) -> None:
    with pytest.raises(ValueError, match="0 seconds or more"):
        Delay(latency_seconds=latency, jitter_seconds=jitter)

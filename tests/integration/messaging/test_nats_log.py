"""Event log on NATS when its server dies, is wiped, or may lose acknowledged messages."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from services.infra.messaging import nats_log
from services.infra.messaging.message import LogState
from services.infra.messaging.nats_log import NatsLog, UnsafeSync
from services.kernel.errors import Unavailable
from services.local.servers.nats import EmbeddedNats
from tests.integration.messaging.conftest import Nats, everything, message, reset, two_logs
from tests.patience import PATIENCE_SECONDS
from tests.unhurried import unhurried_nats


@pytest.fixture
async def log(mortal_nats: Nats) -> AsyncIterator[NatsLog]:
    """Yield an empty log."""
    with unhurried_nats():
        opened = await NatsLog.open(mortal_nats.server.url, allow_unsafe_sync=True)
    yield opened
    with unhurried_nats():
        await opened.close()


async def persistently(call: Callable[[], Awaitable[LogState]]) -> LogState:
    """Repeat a call until the client has found its server again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(0.1)


async def test_a_server_that_may_lose_what_it_acknowledged_is_refused(nats_server: EmbeddedNats) -> None:
    """Unless that is allowed; the error says what to do."""
    with pytest.raises(UnsafeSync, match="allow_unsafe_sync"):
        await NatsLog.open(nats_server.url)


async def test_acknowledged_events_survive_a_kill_of_the_server(mortal_nats: Nats, log: NatsLog) -> None:
    """Nothing is lost or repeated, and the same client recovers; meanwhile it raises Unavailable."""
    messages = [message() for _ in range(20)]
    with unhurried_nats():
        state = await log.append(messages[:10], epoch=1, incarnation=(await log.state()).incarnation)
    await mortal_nats.kill()
    try:
        with pytest.raises(Unavailable):
            await log.append(messages[10:], epoch=1, incarnation=state.incarnation)
    finally:
        await mortal_nats.start()
    after = await persistently(lambda: log.append(messages, epoch=1, incarnation=state.incarnation))
    assert (after.incarnation, after.count) == (state.incarnation, 20)
    with unhurried_nats():
        assert [delivery.message for delivery in await everything(log)] == messages


async def test_a_repeat_is_known_after_the_server_has_forgotten_its_id(
    nats_server: EmbeddedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both for the relay that appended it and for the next one, which reads the end of the log."""
    monkeypatch.setattr(nats_log, "DUPLICATE_WINDOW_SECONDS", 0.1)
    async with two_logs(nats_server) as (first, second):
        incarnation = (await first.state()).incarnation
        messages = [message() for _ in range(3)]
        await first.append(messages, epoch=1, incarnation=incarnation)
        await asyncio.sleep(0.5)  # the outcome does not depend on it: a server that still knows the ids rejects them
        await first.append(messages, epoch=1, incarnation=incarnation)
        state = await second.append(messages, epoch=2, incarnation=incarnation)
        assert state.count == 3


async def test_two_streams_of_one_server_are_two_logs(nats_server: EmbeddedNats) -> None:
    """The path of the address names the stream; a reset of one leaves the other alone."""
    async with two_logs(nats_server) as (first, _):
        second = await NatsLog.open(f"{nats_server.url}/SHOP_EVENTS_1", allow_unsafe_sync=True)
        try:
            for log, count in ((first, 2), (second, 3)):
                await reset(log)
                incarnation = (await log.state()).incarnation
                await log.append([message() for _ in range(count)], epoch=1, incarnation=incarnation)
            await reset(first)
            assert [(await log.state()).count for log in (first, second)] == [0, 3]
            assert len((await second.read(after=0, limit=10, wait_seconds=0)).deliveries) == 3
        finally:
            await reset(second)
            await second.close()


async def test_an_address_without_a_server_fails_within_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported as unavailable, not as a bug."""
    monkeypatch.setattr(nats_log, "CONNECT_SECONDS", 0.2)
    with pytest.raises(Unavailable):
        await NatsLog.open("nats://127.0.0.1:1", allow_unsafe_sync=True)

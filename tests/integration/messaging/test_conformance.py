"""Contract of event logs: the same tests in memory, on PostgreSQL and on NATS."""

import asyncio
from collections.abc import Sequence

import pytest

from services.infra.messaging.log import EventLog, Fenced, Replaced
from services.infra.messaging.message import LogState, Message
from services.infra.messaging.relay import BATCH_SIZE
from services.infra.postgres_errors import RETRY_AFTER_SECONDS
from services.kernel.errors import Unavailable
from tests.integration.messaging.conftest import everything, message
from tests.patience import PATIENCE_SECONDS

Logs = tuple[EventLog, EventLog]


async def append(log: EventLog, messages: Sequence[Message], *, epoch: int = 1) -> LogState:
    """Append to the log as it is; repeat it, as the relay does, while a slow server does not say that it is done."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await log.append(messages, epoch=epoch, incarnation=(await log.state()).incarnation)
            except Unavailable:
                await asyncio.sleep(RETRY_AFTER_SECONDS)


async def held(log: EventLog) -> list[Message]:
    """All messages, after a look at their positions."""
    deliveries = await everything(log)
    assert [delivery.position for delivery in deliveries] == list(range(1, len(deliveries) + 1))
    return [delivery.message for delivery in deliveries]


async def test_appended_events_are_read_whole_and_in_order(logs: Logs) -> None:
    """Its trace, its bytes and its time too, by another process."""
    messages = [message(version=version) for version in range(1, 6)]
    state = await append(logs[0], messages)
    assert await held(logs[1]) == messages
    assert (state.head, state.count) == (5, 5)
    assert await logs[1].state() == state


async def test_a_relay_s_largest_batch_stays_in_order(logs: Logs) -> None:
    """And comes out in as many reads as it takes."""
    messages = [message() for _ in range(BATCH_SIZE)]
    await append(logs[0], messages)
    assert await held(logs[0]) == messages


async def test_nothing_is_appended_of_nothing(logs: Logs) -> None:
    """The state comes back all the same."""
    assert (await append(logs[0], [])).count == 0


async def test_an_event_is_stored_once(logs: Logs) -> None:
    """Twice in a batch, in the next, from another process, and far apart."""
    first, *others = [message() for _ in range(1_200)]
    await append(logs[0], [first, first, others[0], first])
    await append(logs[0], [others[0], others[1], first])
    for begin in range(0, len(others), BATCH_SIZE):
        await append(logs[1], others[begin : begin + BATCH_SIZE])
    await append(logs[0], [first, others[-1]])
    assert await held(logs[1]) == [first, *others]


async def test_a_lower_epoch_is_refused(logs: Logs) -> None:
    """As soon as a higher one has appended; it says which."""
    await append(logs[0], [message()], epoch=1)
    await append(logs[1], [message()], epoch=3)
    for attempt in (lambda: append(logs[0], [message()], epoch=1), lambda: logs[0].reset(epoch=2)):
        with pytest.raises(Fenced) as caught:
            await attempt()
        assert caught.value.epoch == 3
    assert (await logs[1].state()).count == 2


async def test_two_relays_at_once_leave_no_gap_and_no_repeat(logs: Logs) -> None:
    """A fenced relay has published a prefix of its batches, in order."""
    messages = [message() for _ in range(60)]

    async def publish(log: EventLog, epoch: int) -> None:
        for start in range(0, 60, 10):
            await append(log, messages[start : start + 10], epoch=epoch)

    outcomes = await asyncio.gather(publish(logs[0], 1), publish(logs[1], 2), return_exceptions=True)
    assert outcomes[1] is None
    assert outcomes[0] is None or isinstance(outcomes[0], Fenced)
    assert await held(logs[0]) == messages


async def test_a_read_begins_after_a_position_and_ends_at_its_limit(logs: Logs) -> None:
    messages = [message() for _ in range(5)]
    await append(logs[0], messages)
    batch = await logs[1].read(after=2, limit=2, wait_seconds=0)
    assert [(delivery.position, delivery.message) for delivery in batch.deliveries] == [
        (3, messages[2]),
        (4, messages[3]),
    ]
    assert batch.state.head == 5
    assert (await logs[1].read(after=5, limit=2, wait_seconds=0)).deliveries == ()


async def test_a_log_that_was_reset_is_another(logs: Logs) -> None:
    """It may hold the same events again; what was meant for the old one is refused."""
    messages = [message() for _ in range(3)]
    before = await append(logs[0], messages)
    await logs[1].reset(epoch=1)
    after = await logs[0].state()
    assert (after.count, after.incarnation != before.incarnation) == (0, True)
    with pytest.raises(Replaced):
        await logs[0].append([message()], epoch=1, incarnation=before.incarnation)
    await append(logs[0], messages)
    assert await held(logs[1]) == messages


async def test_nothing_is_appended_to_a_log_with_fewer_messages_than_it_had(logs: Logs) -> None:
    """It would have as many again, and nobody would miss those that it lost."""
    state = await append(logs[0], [message() for _ in range(3)])
    with pytest.raises(Replaced):
        await logs[1].append([message()], epoch=1, incarnation=state.incarnation, count=4)
    assert (await logs[0].state()).count == 3
    sent = message()
    await logs[1].append([sent], epoch=1, incarnation=state.incarnation, count=3)
    assert (await held(logs[0]))[3:] == [sent]


@pytest.mark.parametrize("logs", ["postgres", "nats"], indirect=True)
async def test_a_reader_waits_for_the_next_event(logs: Logs) -> None:
    """It returns soon after the append, not at the end of its wait."""
    reading = asyncio.create_task(logs[1].read(after=0, limit=10, wait_seconds=2 * PATIENCE_SECONDS))
    await asyncio.sleep(0)
    sent = message()
    await append(logs[0], [sent])
    async with asyncio.timeout(PATIENCE_SECONDS):
        batch = await reading
    assert [delivery.message for delivery in batch.deliveries] == [sent]

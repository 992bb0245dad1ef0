"""Consumer: each event takes effect once and in order, despite failures, duplicates and crashes."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.infra.messaging.consumer import ATTEMPTS
from services.infra.messaging.message import Message
from services.infra.postgres import Transaction
from services.kernel.errors import DeadlineExceeded, Internal, Overloaded, Unavailable
from tests.cancelling import is_cancelled_at
from tests.integration.messaging.conftest import message
from tests.integration.messaging.consuming import Bench


def ids(messages: Sequence[Message]) -> list[UUID]:
    """Their events."""
    return [message.event_id for message in messages]


def history(length: int) -> list[Message]:
    """Return events of one aggregate."""
    aggregate_id = uuid4()
    return [message(aggregate_id, version) for version in range(1, length + 1)]


async def test_each_event_has_its_effect_once(bench: Bench) -> None:
    """In order; repeats are counted and change nothing."""
    messages = [message() for _ in range(450)]
    bench.log.redeliver(*messages, *messages[-10:])
    await bench.run()
    assert await bench.effects() == ids(messages)
    assert bench.value("shop_consumer_duplicates_total") == 10
    assert bench.value("shop_consumer_lag_events") == 0


async def test_a_log_that_is_another_is_read_from_its_beginning(bench: Bench) -> None:
    """Nothing of it has an effect twice."""
    messages = history(5)
    bench.log.redeliver(*messages)
    await bench.run()
    await bench.log.reset()
    bench.log.redeliver(*messages, message())
    await bench.run()
    assert await bench.effects() == ids(bench.log.messages)
    assert bench.value("shop_consumer_rewinds_total") == 2


async def test_a_log_shorter_than_the_cursor_is_read_from_its_start(bench: Bench) -> None:
    """It lost its end."""
    bench.log.redeliver(*history(5))
    await bench.run()
    del bench.log.messages[3:]
    await bench.consumer().step()
    assert await bench.position() == (bench.log.incarnation, 0)


async def test_two_replicas_share_the_work(bench: Bench) -> None:
    """What one consumes the other leaves alone."""
    messages = [message() for _ in range(900)]
    bench.log.redeliver(*messages)
    await asyncio.gather(bench.run(), bench.run())
    assert await bench.effects() == ids(messages)
    assert bench.value("shop_consumer_duplicates_total") == 0


async def test_an_effect_and_its_position_are_saved_atomically(bench: Bench) -> None:
    """Wherever a step is cut off, one place after the other."""
    consumer, wait, cancelled = bench.consumer(), 0, True
    await consumer.step()
    while cancelled:
        wait += 1
        bench.log.redeliver(message(), message())
        cancelled = await is_cancelled_at(wait, consumer.step())
        position = await bench.position()
        assert position
        assert await bench.effects() == ids(bench.log.messages[: position[1]])
        await bench.run(consumer)  # so that each step has the same two messages, and no more places to cut it off
    assert wait > 5
    assert bench.value("shop_consumer_duplicates_total") == 0


@pytest.mark.parametrize(
    "error", [KeyError("a bug"), Internal("error id"), asyncpg.CheckViolationError("bad value")], ids=repr
)
async def test_a_poison_event_is_parked_with_its_successors(bench: Bench, error: Exception) -> None:
    """After some attempts; others pass by, and later ones of its order wait with it."""
    poisoned = history(4)
    others = [message(), message()]
    bench.failures[poisoned[1].event_id] = error
    bench.log.redeliver(poisoned[0], others[0], *poisoned[1:3], others[1])
    await bench.run()
    bench.log.redeliver(poisoned[3])
    await bench.run()
    assert await bench.effects() == ids([poisoned[0], *others])
    reason = getattr(error, "reason", type(error).__name__)
    assert await bench.parked() == dict(zip(ids(poisoned[1:]), [reason, *["BEHIND_ANOTHER"] * 2], strict=True))
    assert bench.value("shop_dead_letters_total") == 3


@pytest.mark.parametrize(
    "error",
    [
        Unavailable(1.0),
        Overloaded(1.0),
        DeadlineExceeded(),
        TimeoutError(),
        asyncpg.UndefinedTableError("no such table"),
        asyncpg.ReadOnlySQLTransactionError("a standby"),
    ],
    ids=repr,
)
async def test_a_failure_that_is_no_event_s_fault_parks_nothing(bench: Bench, error: Exception) -> None:
    """However often it comes; when it is over the event has its effect, in its place."""
    messages = history(3)
    bench.log.redeliver(*messages)
    bench.failures[messages[1].event_id] = error
    consumer = bench.consumer()
    for _ in range(3 * ATTEMPTS):
        await bench.try_step(consumer)
    assert (await bench.effects(), await bench.parked()) == ([], {})
    bench.failures.clear()
    await bench.run(consumer)
    assert await bench.effects() == ids(messages)


async def test_one_attempt_too_few_parks_nothing(bench: Bench) -> None:
    """Attempts at another message do not count."""
    first, second = message(), message()
    bench.log.redeliver(first)
    consumer = bench.consumer()
    await consumer.step()
    for poison in (first, second):
        bench.failures[poison.event_id] = KeyError()
        for _ in range(ATTEMPTS - 1):
            await bench.try_step(consumer)
        bench.failures.clear()
        await bench.run(consumer)
        bench.log.redeliver(second)
    await bench.run(consumer)
    assert (await bench.effects(), await bench.parked()) == (ids([first, second]), {})


async def test_a_replay_consumes_each_aggregate_in_order(bench: Bench) -> None:
    """A failure leaves only its own aggregate parked, and is reported with its message."""
    mended, broken = history(3), history(3)
    error = KeyError()
    bench.failures = {mended[0].event_id: error, broken[1].event_id: error}
    bench.log.redeliver(*mended, *broken)
    await bench.run()
    assert len(await bench.parked()) == 5
    del bench.failures[mended[0].event_id]
    outcome = await bench.dead_letters.replay(bench.handle)
    assert (outcome.replayed, outcome.still_parked, outcome.failures) == (3, 2, ((broken[1], error),))
    assert await bench.effects() == ids([broken[0], *mended])
    assert set(await bench.parked()) == set(ids(broken[1:]))


async def test_a_replay_raises_when_the_database_is_unavailable(bench: Bench) -> None:
    """Everything stays where it is."""
    (poison,) = history(1)
    bench.failures[poison.event_id] = KeyError()
    bench.log.redeliver(poison)
    await bench.run()
    bench.failures[poison.event_id] = Unavailable(1.0)
    with pytest.raises(Unavailable):
        await bench.dead_letters.replay(bench.handle)
    assert await bench.dead_letters.count() == 1


async def test_a_replay_leaves_nothing_behind_that_is_parked_meanwhile(bench: Bench) -> None:
    """It waits for a consumer that has seen the aggregate blocked and has not committed yet."""
    first, second = history(2)
    bench.failures[first.event_id] = KeyError()
    bench.log.redeliver(first)
    await bench.run()
    bench.failures.clear()
    entered, released = asyncio.Event(), asyncio.Event()

    async def pause(transaction: Transaction, messages: Sequence[Message]) -> int:
        entered.set()
        await released.wait()
        return await bench.handle(transaction, messages)

    consumer = bench.consumer()
    consumer._handle = pause
    bench.log.redeliver(second, message())
    consuming = asyncio.create_task(consumer.step())
    await entered.wait()
    replaying = asyncio.create_task(bench.dead_letters.replay(bench.handle))
    await asyncio.wait({replaying}, timeout=0.3)  # one that does not wait is through by then
    released.set()
    await consuming
    outcome = await replaying
    assert (outcome.replayed, await bench.dead_letters.count()) == (2, 0)


async def test_nothing_overtakes_a_replay(bench: Bench) -> None:
    """New events of the same order come in while it and another one run; nothing is left behind either."""
    events = history(40)
    bench.failures[events[0].event_id] = KeyError()
    bench.log.redeliver(*events[:20])
    await bench.run()
    bench.failures.clear()

    async def slowly(transaction: Transaction, messages: Sequence[Message]) -> int:
        await asyncio.sleep(0.005)  # makes the race likely; the outcome does not depend on it
        return await bench.handle(transaction, messages)

    async def go_on() -> None:
        for event in events[20:]:
            bench.log.redeliver(event)
            await bench.run()

    await asyncio.gather(bench.dead_letters.replay(slowly), bench.dead_letters.replay(slowly), go_on())
    assert await bench.effects() == ids(events)
    assert await bench.dead_letters.count() == 0


async def test_an_interrupted_replay_loses_no_message(bench: Bench) -> None:
    """Never both, never neither."""
    wait, cancelled = 0, True
    while cancelled:
        wait += 1
        (poison,) = history(1)
        bench.failures = {poison.event_id: KeyError()}
        bench.log.redeliver(poison)
        await bench.run()
        bench.failures = {}
        cancelled = await is_cancelled_at(wait, bench.dead_letters.replay(bench.handle))
        effects, parked = set(await bench.effects()), set(await bench.parked())
        assert (effects & parked, effects | parked) == (set(), set(ids(bench.log.messages)))
    assert wait > 5

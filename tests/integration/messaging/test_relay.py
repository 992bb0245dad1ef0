"""Relay: every stored event is in the log once and in order, despite faults of relays and the log."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from services.infra.messaging.log import Fenced
from services.infra.messaging.message import LogState, Message
from services.infra.messaging.outbox import Outbox, Stored, TooManyUnreadable
from services.infra.messaging.postgres_log import PostgresLog
from services.infra.postgres import Transaction
from services.infra.worker import Worker
from services.kernel.errors import Unavailable
from tests.cancelling import is_cancelled_at
from tests.integration.messaging.conftest import OpenDatabases, everything
from tests.integration.messaging.relaying import UNKNOWN, Store, run
from tests.patience import PATIENCE_SECONDS


@pytest.fixture
async def log(database_of: OpenDatabases) -> PostgresLog:
    """Yield an empty log."""
    return PostgresLog(database=await database_of("event_log"))


async def published(log: PostgresLog) -> list[UUID]:
    """Return the events in the log."""
    return [delivery.message.event_id for delivery in await everything(log)]


async def store_in(transaction: Transaction, stream_id: UUID) -> None:
    """Store the first event of a stream in a transaction that has not committed yet."""
    insert = """
        WITH stored AS (
            INSERT INTO events (stream_id, version, type, schema_version, data, meta, occur_time, logical_shard)
            VALUES ($1, 1, 'order.placed', 1, '{}', '{}', now(), 7) RETURNING stream_id, version, logical_shard)
        INSERT INTO outbox (stream_id, version, logical_shard) SELECT stream_id, version, logical_shard FROM stored"""
    await transaction.execute("INSERT", insert, stream_id)


class Interrupted:
    """A log whose process dies right after some appends, before it has acknowledged them."""

    def __init__(self, log: PostgresLog, *, after_appends: int) -> None:
        self.left = after_appends
        self.log = log
        self.state, self.read, self.reset, self.close = log.state, log.read, log.reset, log.close

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str, count: int = 0) -> LogState:
        """Append; die when it is time."""
        state = await self.log.append(messages, epoch=epoch, incarnation=incarnation, count=count)
        self.left -= 1
        if self.left == 0:
            raise Unavailable(1.0)
        return state


class Truncated:
    """A log that loses its last messages between a relay's check and its append, once."""

    def __init__(self, log: PostgresLog, *, lost: int) -> None:
        self.lost = lost
        self.log = log
        self.state, self.read, self.reset, self.close = log.state, log.read, log.reset, log.close

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str, count: int = 0) -> LogState:
        """Lose messages, then append."""
        async with self.log._database.transaction("test") as transaction:
            delete = "DELETE FROM event_log WHERE position > (SELECT max(position) FROM event_log) - $1"
            await transaction.execute("DELETE", delete, self.lost)
            update = "UPDATE event_log_head SET position = coalesce((SELECT max(position) FROM event_log), 0)"
            await transaction.execute("UPDATE", update)
        self.lost = 0
        return await self.log.append(messages, epoch=epoch, incarnation=incarnation, count=count)


async def test_a_loss_between_check_and_append_is_noticed(store: Store, log: PostgresLog) -> None:
    """As many new events as were lost give the log the number of messages that it had."""
    truncated = Truncated(log, lost=0)
    relay = store.relay(truncated)
    events = await store.store(5)
    await run(relay)
    truncated.lost = 2
    events += await store.store(2)
    await run(relay)
    assert await published(log) == events


async def test_events_are_published_in_order_and_leave_the_outbox(store: Store, log: PostgresLog) -> None:
    """In as many batches as it takes; each is counted."""
    events = await store.store(25) + await store.store(3)
    await run(store.relay(log))
    assert await published(log) == events
    assert (await store.waiting(), (await store.row()).published_count) == (0, 28)
    assert store.value("shop_relay_published_events_total") == 28


async def test_an_event_that_commits_late_is_published(store: Store, log: PostgresLog) -> None:
    """It took its sequence first, and what has a higher one was published before it could be seen."""
    late, relay = uuid4(), store.relay(log)
    async with store.database.transaction("late") as transaction:
        await store_in(transaction, late)
        events = await store.store(5)
        await run(relay)
        assert await published(log) == events
    await run(relay)
    assert [delivery.message.aggregate_id for delivery in await everything(log)][5:] == [late]


async def test_each_new_lease_holder_has_the_next_epoch(store: Store) -> None:
    """It can be renewed, and no other relay gets it before it ends."""
    outbox = store.outbox()
    epochs = []
    for holder in ("a", "a", "b", "a"):
        lease = await outbox.take_lease(holder, 60)
        epochs.append(lease and lease.epoch)
    await outbox.give_up_lease("a")
    taken = await outbox.take_lease("b", 60)
    assert (epochs, taken and taken.epoch) == ([1, 1, None, 1], 2)


async def test_a_crash_between_append_and_mark_publishes_once(store: Store, log: PostgresLog) -> None:
    """Neither does the next one, nor does it count twice."""
    events = await store.store(15)
    with pytest.raises(Unavailable):
        await run(store.relay(Interrupted(log, after_appends=1)))
    assert (await store.waiting(), len(await published(log))) == (15, 10)
    await store.end_leases()
    await run(store.relay(log))
    assert await published(log) == events
    assert (await store.row()).published_count == 15


async def test_a_mark_of_unknown_outcome_is_not_repeated(
    store: Store, log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit came through, the answer did not; while the log is filled again, too."""
    events = await store.store(25)
    await run(store.relay(log))
    await log.reset()
    relay, mark, lost = store.relay(log), Outbox.mark_published, [True]

    async def mark_and_lose(self: Outbox, *arguments: object, **options: object) -> object:
        lease = await mark(self, *arguments, **options)  # type: ignore[arg-type]
        if lost:
            lost.pop()
            raise Unavailable(1.0)
        return lease

    monkeypatch.setattr(Outbox, "mark_published", mark_and_lose)
    await store.end_leases()
    with pytest.raises(Unavailable):
        await run(relay)
    await run(relay)
    assert await published(log) == events
    assert (await store.row()).published_count == 25


async def test_two_relays_take_turns(store: Store, log: PostgresLog) -> None:
    """Only one leads; both step at once, and the lease ends between any two steps."""
    events = await store.store(60)
    relays = [store.relay(log, lease_seconds=0.0), store.relay(log, lease_seconds=0.0)]
    while await store.waiting():
        await asyncio.gather(*(relay.step() for relay in relays))
    assert await published(log) == events
    assert (await store.row()).published_count == 60


async def test_a_leader_that_was_paused_is_refused_by_the_log(store: Store, log: PostgresLog) -> None:
    """It wakes with a lease that it believes in; the fence is counted."""
    await store.store(5)
    paused, other = store.relay(log), store.relay(log)
    await paused.step()
    await store.end_leases()
    await store.store(5)
    await other.step()
    await store.store(5)
    assert await paused.step() > 0
    assert (await store.waiting(), len(await published(log))) == (5, 10)
    assert store.value("shop_relay_fenced_total") == 1


async def test_a_stale_mark_is_refused(store: Store, log: PostgresLog) -> None:
    """And takes nothing out of the outbox."""
    await store.store(5)
    outbox = store.outbox()
    lease = await outbox.take_lease("a", 0)
    events: list[Stored] = await outbox.unpublished(10)
    await outbox.take_lease("b", 60)
    assert lease
    with pytest.raises(Fenced):
        await outbox.mark_published(events, lease=lease, log=await log.state())
    with pytest.raises(Fenced):
        await outbox.begin_republish(lease=lease, log=await log.state())
    assert await store.waiting() == 5


async def test_a_restored_relay_takes_an_epoch_beyond_the_log(store: Store, log: PostgresLog) -> None:
    """The relay takes an epoch beyond the log's."""
    await store.store(3)
    await log.append([], epoch=7, incarnation=(await log.state()).incarnation)
    relay = store.relay(log)
    await relay.step()
    await run(relay)
    assert ((await store.row()).epoch, len(await published(log))) == (8, 3)


@pytest.mark.parametrize("wipe", ["DELETE FROM event_log_head", "UPDATE event_log_head SET position = 0"])
async def test_a_log_that_was_wiped_is_filled_again(
    store: Store, log: PostgresLog, database_of: OpenDatabases, wipe: str
) -> None:
    """From the first event on, with what waited in the outbox, each counted once."""
    events = await store.store(25)
    await run(store.relay(log))
    log_store = Store(await database_of("event_log"), store.runtime)
    await log_store.execute("DELETE FROM event_log")
    await log_store.execute(wipe)
    events += await store.store(5)
    await store.end_leases()
    await run(store.relay(log))
    assert await published(log) == events
    row = await store.row()
    assert (await store.waiting(), row.published_count, row.republish_after, row.republish_to) == (0, 30, None, None)
    assert store.value("shop_relay_republished_events_total") == 30


async def test_a_log_that_has_lost_its_last_events_is_filled_again(
    store: Store, log: PostgresLog, database_of: OpenDatabases
) -> None:
    """As another log, so that consumers begin at its beginning."""
    events = await store.store(25)
    relay = store.relay(log)
    await run(relay)
    before = await log.state()
    log_store = Store(await database_of("event_log"), store.runtime)
    await log_store.execute("DELETE FROM event_log WHERE position > 20")
    events += await store.store(1)
    await run(relay)
    assert await published(log) == events
    assert (await log.state()).incarnation != before.incarnation


async def test_an_interrupted_refill_resumes(store: Store, log: PostgresLog) -> None:
    """By another relay, also when the first had appended a batch and marked nothing."""
    events = await store.store(45)
    await run(store.relay(log))
    await log.reset()
    await store.end_leases()
    with pytest.raises(Unavailable):
        await run(store.relay(Interrupted(log, after_appends=3)))
    row = await store.row()
    assert (row.republish_after is not None, row.published_count) == (True, 20)
    await store.end_leases()
    await run(store.relay(log))
    assert await published(log) == events
    assert (await store.row()).published_count == 45


async def test_an_event_committed_during_a_refill_is_published_once(store: Store, log: PostgresLog) -> None:
    """It has a lower sequence than what was published again already; its successor comes after it."""
    await store.store(15)
    relay = store.relay(log)
    await run(relay)
    await log.reset()
    late = uuid4()
    async with store.database.transaction("late") as transaction:
        await store_in(transaction, late)
        await store.store(10)
        await store.end_leases()
        refilling = store.relay(log)
        while (await store.row()).republish_after is None:
            await refilling.step()
        await run(refilling)
    await store.store(1, stream_id=late, first_version=2)
    await run(refilling)
    deliveries = [delivery.message for delivery in await everything(log)]
    assert [message.aggregate_version for message in deliveries if message.aggregate_id == late] == [1, 2]
    assert (len(deliveries), (await store.row()).published_count) == (27, 27)


async def test_a_drained_relay_leaves_its_lease_to_the_next(store: Store, log: PostgresLog) -> None:
    """At once, rather than when it ends."""
    relay = store.relay(log, lease_seconds=3600)
    worker = Worker("relay", relay.step, telemetry=store.runtime.for_context("test"), at_end=relay.give_up)
    await worker.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while store.value("shop_relay_leader") != 1:
            await asyncio.sleep(0.01)
    await worker.stop(grace_seconds=5)
    assert await store.outbox().take_lease("next", 60) is not None
    assert store.value("shop_relay_leader") == 0


async def test_the_gauges_show_the_backlog(store: Store, log: PostgresLog) -> None:
    """Also where another relay leads."""
    await store.outbox().take_lease("another", 60)
    await store.store(3)
    await store.relay(log).step()
    assert store.value("shop_outbox_events") == 3
    assert (store.value("shop_outbox_oldest_age_seconds") or 0) > 0
    assert (store.value("shop_relay_leader"), store.value("shop_relay_epoch")) == (0, 0)


async def test_a_cancelled_relay_loses_and_repeats_nothing(store: Store, log: PostgresLog) -> None:
    """Each of the places where a step waits, one after the other."""
    events: list[UUID] = []
    wait, cancelled = 0, True
    while cancelled:
        wait += 1
        events += await store.store(2)
        relay = store.relay(log)
        await store.end_leases()
        cancelled = await is_cancelled_at(wait, relay.step())
    await store.end_leases()
    await run(store.relay(log))
    assert wait > 10
    assert await published(log) == events
    assert (await store.row()).published_count == len(events)


@pytest.mark.parametrize("is_lost", [False, True], ids=["the log is whole", "the log was wiped"])
async def test_an_unreadable_event_blocks_its_own_stream_alone(store: Store, log: PostgresLog, is_lost: bool) -> None:
    """It stays in the outbox, and another release publishes it; also when the log is filled again meanwhile."""
    stream_id = uuid4()
    before = await store.store(12)
    await store.store(2, stream_id=stream_id)
    after = await store.store(12)
    await store.execute(f"UPDATE events SET type = '{UNKNOWN}' WHERE stream_id = '{stream_id}' AND version = 1")
    relay = store.relay(log)
    await run(relay)
    assert await published(log) == [*before, *after]
    if is_lost:
        await log.reset()
        await store.end_leases()
        relay = store.relay(log)
        await run(relay)
        assert await published(log) == [*before, *after]
    assert await store.waiting() == 2
    await store.execute("UPDATE events SET type = 'order.placed'")
    await store.end_leases()
    await run(store.relay(log))
    assert (await store.waiting(), len(await published(log))) == (0, 26)


async def test_too_many_unreadable_streams_stop_publication(
    store: Store, log: PostgresLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves out it must remember, and that is limited; another release publishes all of it."""
    monkeypatch.setattr("services.infra.messaging.outbox.MOST_HELD", 2)
    for _ in range(3):
        await store.store(1)
    await store.execute(f"UPDATE events SET type = '{UNKNOWN}'")
    await store.store(1)
    with pytest.raises(TooManyUnreadable, match="2 streams"):
        await run(store.relay(log))
    assert await published(log) == []
    await store.execute("UPDATE events SET type = 'order.placed'")
    await store.end_leases()
    await run(store.relay(log))
    assert (await store.waiting(), len(await published(log))) == (0, 4)

"""A rebuilt list equals the fold of the events, whatever happens meanwhile, and readers notice no swap."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from services.infra.messaging.consumer import Cursor
from services.infra.messaging.dead_letters import DeadLetters
from services.order.adapters import summaries_rebuild
from services.order.adapters.summaries_rebuild import RebuildRunning, SummariesRebuild, alone
from services.order.api import EventNotUnderstood, ListOrders
from services.order.consumers.order_summaries import CONSUMER
from services.order.workers import rebuild as rebuilding
from services.order.workers.rebuild import LogIncomplete
from tests.cancelling import is_cancelled_at
from tests.contract.shop import Shop, holding
from tests.contract.test_error_table import lock_awaited
from tests.integration.read_model.conftest import follow, live, publish, sell, sell_and_cancel
from tests.integration.read_model.folding import all_folded, listed
from tests.integration.read_model.rebuilding import WatchedLog, cut_off_at, rebuild
from tests.soundness import violations

# Everything that a migration says of a table.
SHAPE = """
    SELECT indexdef FROM pg_indexes WHERE tablename = 'order_summaries'
    UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE conrelid = 'order_summaries'::regclass
    UNION ALL SELECT concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull) FROM pg_attribute
        WHERE attrelid = 'order_summaries'::regclass AND attnum > 0
    UNION ALL SELECT array_to_string(reloptions, ',') FROM pg_class WHERE oid = 'order_summaries'::regclass
    ORDER BY 1"""
SPOIL = "UPDATE event_log SET data = '\\xff' WHERE aggregate_id = $1 AND aggregate_version = $2"
PLACE_OF_CONSUMER = "SELECT FROM consumer_cursors WHERE consumer = $1 FOR UPDATE"


async def execute(shop: Shop, database: str, statement: str, *arguments: object) -> None:
    """Change rows behind the shop's back."""
    async with shop.databases[database].transaction("test") as transaction:
        assert await transaction.execute("UPDATE", statement, *arguments)


async def parked(shop: Shop) -> Sequence[tuple[UUID, int, str]]:
    """Return the order, version and reason of each event that the list could not take."""
    letters = await DeadLetters(CONSUMER, database=shop.databases["order_read"]).list(100)
    return sorted((each.message.aggregate_id, each.message.aggregate_version, each.reason) for each in letters)


async def shape(shop: Shop) -> Sequence[str]:
    """Return what the list's table is like."""
    return [row[0] for row in await shop.databases["order_read"].fetch("SELECT", SHAPE)]


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a rebuild give up at the first obstacle."""
    monkeypatch.setattr(rebuilding, "WAIT_LIMIT_SECONDS", -1.0)


async def test_a_rebuilt_list_is_the_one_that_followed_the_events(shop: Shop) -> None:
    """Row by row, and the table is as the migrations made it; also the second time."""
    await live(shop)
    followed, before = await listed(shop), await shape(shop)
    assert followed == await all_folded(shop)
    for _ in range(2):
        rebuilt = await rebuild(shop, batch_size=3).run()
        assert (rebuilt.swap.rows_before, rebuilt.swap.rows_after, rebuilt.events_read) == (3, 3, 8)
        assert (await listed(shop), await shape(shop)) == (followed, before)
    assert len(before) > 12


async def test_a_list_that_was_spoilt_is_mended(shop: Shop) -> None:
    """Rows that are wrong, gone or of no order."""
    await live(shop)
    wrong, gone, _ = await listed(shop)
    await execute(shop, "order_read", "UPDATE order_summaries SET total_minor = 1 WHERE order_id = $1", wrong)
    await execute(shop, "order_read", "DELETE FROM order_summaries WHERE order_id = $1", gone)
    assert await listed(shop) != await all_folded(shop)
    await rebuild(shop).run()
    assert await listed(shop) == await all_folded(shop)


async def test_an_interrupted_rebuild_resumes(shop: Shop) -> None:
    """Not from the start; the list that customers read was left alone."""
    await live(shop)
    await cut_off_at(shop, 4)
    assert await listed(shop) == await all_folded(shop)
    log = WatchedLog(shop.log)
    rebuilt = await rebuild(shop, log=log, batch_size=2).run()
    assert (rebuilt.resumed_after, rebuilt.events_read, log.read_after) == (4, 4, [4, 6])
    assert await listed(shop) == await all_folded(shop)


async def test_a_rebuild_starts_anew_on_demand(shop: Shop) -> None:
    """What was built before is forgotten."""
    await live(shop)
    await cut_off_at(shop, 4)
    await execute(shop, "order_read", "UPDATE order_summaries_rebuild SET state = 'PENDING'")
    rebuilt = await rebuild(shop).run(anew=True)
    assert (rebuilt.resumed_after, rebuilt.events_read) == (0, 8)
    assert await listed(shop) == await all_folded(shop)


async def test_a_rebuild_may_end_at_any_await(shop: Shop) -> None:
    """Customers have the whole list wherever it is cut off, and the next one brings it to its end."""
    await live(shop)
    expected, wait = await all_folded(shop), 0
    while await is_cancelled_at(wait := wait + 1, rebuild(shop, batch_size=4).run(anew=wait % 2 == 0)):
        assert await listed(shop) == expected, wait
    assert wait > 10
    assert await listed(shop) == expected
    await sell(shop)
    assert await violations(shop) == []


async def test_orders_placed_during_a_rebuild_are_in_the_new_list(shop: Shop) -> None:
    """Those that the old list had already at once, and the others by their own time: no event is lost or skipped."""
    await live(shop)

    async def go_on() -> None:
        await sell_and_cancel(shop)
        await follow(shop)
        await sell(shop)

    rebuilt = await rebuild(shop, log=WatchedLog(shop.log, 3, go_on), batch_size=2).run()
    assert (rebuilt.swap.rows_before, rebuilt.swap.rows_after, rebuilt.events_read) == (4, 4, 12)
    assert len(await all_folded(shop)) == 5
    assert await violations(shop) == []
    assert await listed(shop) == await all_folded(shop)


async def test_reads_and_writes_continue_during_a_rebuild(shop: Shop) -> None:
    """No request fails, and no list becomes shorter."""
    customer_id = uuid4()
    for _ in range(3):
        await sell(shop, customer_id)
    await follow(shop)
    lengths: list[int] = []

    async def go_on() -> None:
        while not rebuilds.done():
            await sell(shop, customer_id)
            await follow(shop)

    async def read_on() -> None:
        while not rebuilds.done():
            lengths.append(len((await shop.orders.list_orders(ListOrders(customer_id, 100))).orders))

    async def rebuild_often() -> None:
        for _ in range(3):
            await rebuild(shop, batch_size=3).run()

    rebuilds = asyncio.create_task(rebuild_often())
    await asyncio.gather(rebuilds, go_on(), read_on())
    assert lengths == sorted(lengths)
    assert lengths[0] == 3 < lengths[-1]
    assert await violations(shop) == []


async def test_a_swap_waits_for_a_consumer_in_the_middle_of_its_batch(shop: Shop) -> None:
    """Neither undoes what the other does."""
    await live(shop)
    async with holding(shop.dsns["order_read"], PLACE_OF_CONSUMER, CONSUMER) as consumer:
        rebuilt = asyncio.create_task(rebuild(shop).run())
        await lock_awaited(consumer)
        assert await listed(shop) == await all_folded(shop)
    assert (await rebuilt).swap.rows_after == 3


async def test_a_refilled_log_makes_the_same_list(shop: Shop) -> None:
    """A rebuild of the log that is no more is not gone on with."""
    await live(shop)
    await cut_off_at(shop, 4)
    await shop.log.reset()
    await sell(shop)
    await follow(shop)
    rebuilt = await rebuild(shop).run()
    assert (rebuilt.resumed_after, rebuilt.events_read, rebuilt.swap.rows_after) == (0, 10, 4)
    assert await listed(shop) == await all_folded(shop)


async def test_a_log_that_is_being_filled_again_is_waited_for(shop: Shop) -> None:
    """An empty one does not make an empty list."""
    await live(shop)
    await shop.log.reset()

    async def fill() -> None:
        await sell(shop)
        await follow(shop)

    log = WatchedLog(shop.log, 3, fill)
    rebuilt = await rebuild(shop, log=log).run()
    assert log.read_after[:3] == [0, 0, 0]  # begun, read to its end, and looked at again
    assert (rebuilt.events_read, rebuilt.swap.rows_after) == (10, 4)
    assert await listed(shop) == await all_folded(shop)


async def test_a_log_without_listed_orders_is_rejected_unless_forced(shop: Shop, no_waiting: None) -> None:
    """The list is unchanged; with force it holds what the log holds, and the rest when it is published again."""
    await live(shop)
    await shop.log.reset()
    with pytest.raises(LogIncomplete) as caught:
        await rebuild(shop).run()
    assert caught.value.orders_behind == 3
    assert await listed(shop) == await all_folded(shop)
    assert (await rebuild(shop).run(force=True)).swap.rows_after == 0
    assert await listed(shop) == {}
    await sell(shop)
    assert await violations(shop) == []


async def test_unknown_events_are_parked_with_their_successors(shop: Shop) -> None:
    """They replace the old dead letters, and a rebuild after the events are corrected leaves none."""
    await live(shop)
    poisoned = await sell_and_cancel(shop)
    await publish(shop)
    await execute(shop, "event_log", SPOIL, poisoned, 2)
    await follow(shop, EventNotUnderstood)
    aside = [(poisoned, 2, "EVENT_NOT_UNDERSTOOD"), (poisoned, 3, "BEHIND_ANOTHER"), (poisoned, 4, "BEHIND_ANOTHER")]
    assert await parked(shop) == aside
    for batch_size in (1, 100):
        assert (await rebuild(shop, batch_size=batch_size).run()).swap.parked == 3
        assert await parked(shop) == aside
        assert (await listed(shop))[poisoned][1] == 1
    await shop.log.reset()
    await sell(shop)
    await follow(shop)
    assert (await rebuild(shop).run()).swap.parked == 0
    assert await parked(shop) == []
    assert await listed(shop) == await all_folded(shop)


async def test_a_second_rebuild_is_refused_while_one_runs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not any longer."""
    monkeypatch.setattr(summaries_rebuild, "LOCK_SECONDS", 0.1)
    dsn = shop.dsns["order_read"]
    for _ in range(2):
        async with alone(dsn):
            with pytest.raises(RebuildRunning):
                await alone(dsn).__aenter__()


async def test_a_rebuild_that_another_overtook_stops(shop: Shop) -> None:
    """As when it lost its lock with the connection that held it: the list is the other one's."""
    await live(shop)
    log = WatchedLog(shop.log, 3, lambda: rebuild(shop).run(anew=True))
    with pytest.raises(RebuildRunning):
        await rebuild(shop, log=log, batch_size=2).run()
    assert await listed(shop) == await all_folded(shop)
    assert await violations(shop) == []


async def test_a_rebuild_does_not_swap_tables_of_another(shop: Shop) -> None:
    """It lost its lock when it had read everything, and the list lost its rows: an empty one must not replace it."""
    await live(shop)
    state, beside = await shop.log.state(), SummariesRebuild(database=shop.databases["order_read"], consumer=CONSUMER)
    await execute(shop, "order_read", "DELETE FROM order_summaries")
    await beside.begin([state.incarnation])
    with pytest.raises(RebuildRunning):
        await beside.swap([Cursor(state.incarnation, state.head)], force=False)
    assert (await rebuild(shop).run()).events_read == state.head
    assert await listed(shop) == await all_folded(shop)

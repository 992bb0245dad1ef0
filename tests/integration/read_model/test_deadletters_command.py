"""`plumb deadletters`: the list shows what could not be consumed, and a replay takes effect exactly once."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from services.order.adapters.sagas import PostgresSagas
from services.order.api import CancelOrder
from tests.contract.shop import Shop, place, request_id, stock
from tests.integration.read_model.commanding import Platform
from tests.integration.read_model.conftest import follow, live
from tests.integration.read_model.folding import all_folded, listed
from tests.soundness import violations

# A schema that is too narrow is a poison that a release mends: no order may be sold, no confirmation be of two lines.
NARROW = {
    "order_read": ("order_summaries", "CHECK (state <> 'CONFIRMED') NOT VALID"),
    "notification": ("notifications", "CHECK (line_count < 2) NOT VALID"),
}
NOTHING_ELSE = ["send_confirmations: 0 replayed, 0 left", "saga_worker: 0 due again, 0 left"]
WIDEN = "ALTER TABLE {} DROP CONSTRAINT IF EXISTS too_narrow"


@dataclass(frozen=True, slots=True)
class Poisoned:
    """An order that the list and the confirmations could not take, beside three that they could."""

    order_id: UUID
    customer_id: UUID
    # Of its events from the second on, in order.
    event_ids: tuple[str, ...]


async def change(dsns: Mapping[str, str], statement: str) -> None:
    """Change the tables of both consumers; the statement has a place for the name and for the constraint."""
    for database, (table, constraint) in NARROW.items():
        connection = await asyncpg.connect(dsns[database])
        try:
            await connection.execute(statement.format(table, constraint))
        finally:
            await connection.close()


@pytest.fixture
async def poisoned(platform: Platform) -> AsyncIterator[Poisoned]:
    """Return a platform with dead letters; restore its schemas at the end."""
    yield await asyncio.to_thread(platform.let, poison)
    await change(platform.dsns, WIDEN)


async def poison(shop: Shop) -> Poisoned:
    """Sell an order that the consumers cannot take, and cancel it when they have given up."""
    await live(shop)
    await shop.catch_up()
    await change(shop.dsns, "ALTER TABLE {} ADD CONSTRAINT too_narrow {}")
    await stock(shop, A=1, B=1)
    order = await shop.orders.place_order(place(A=1, B=1))
    await consume(shop)
    await shop.orders.cancel_order(CancelOrder(request_id(), order.customer_id, order.order_id))
    await consume(shop)
    select = "SELECT event_id FROM events WHERE stream_id = $1 AND version > 1 ORDER BY version"
    rows = await shop.order_database.fetch("SELECT", select, order.order_id)
    return Poisoned(order.order_id, order.customer_id, tuple(str(row["event_id"]) for row in rows))


async def consume(shop: Shop) -> None:
    """Let both consumers read the log to its end; they park what they cannot take."""
    await follow(shop, asyncpg.CheckViolationError)
    while True:
        with contextlib.suppress(asyncpg.CheckViolationError):
            await shop.catch_up()
            return


async def redeliver(shop: Shop) -> None:
    """Let every event come once more, to both."""
    for database in NARROW:
        async with shop.databases[database].transaction("test") as transaction:
            assert await transaction.execute("UPDATE", "UPDATE consumer_cursors SET position = 0") == 1
    await shop.catch_up()


async def assert_applied_once(shop: Shop, poisoned: Poisoned) -> None:
    """Check that the list is the fold of all events, and that one confirmation was sent."""
    assert await listed(shop) == await all_folded(shop)
    await shop.catch_up()
    select = "SELECT order_id, state FROM notifications WHERE order_id = $1"
    rows = await shop.databases["notification"].fetch("SELECT", select, poisoned.order_id)
    assert [tuple(row) for row in rows] == [(poisoned.order_id, "SENT")]
    assert await violations(shop) == []


def letters(platform: Platform, *options: str) -> list[dict[str, object]]:
    """Return what the list says, as a program reads it."""
    result = platform.plumb("deadletters", "list", "--json", *options)
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_where_nothing_is_parked_there_is_nothing_to_do(platform: Platform) -> None:
    """Exit 0 for both commands."""
    platform.let(live)
    listing, replaying = platform.plumb("deadletters", "list"), platform.plumb("deadletters", "replay")
    assert (listing.exit_code, listing.output) == (0, "no dead letters\n")
    assert (replaying.exit_code, replaying.output.splitlines()) == (
        0,
        ["order_summaries: 0 replayed, 0 left", "notification: 0 replayed, 0 left", *NOTHING_ELSE],
    )
    assert letters(platform) == []


def test_the_list_shows_each_dead_letter_with_its_reason(platform: Platform, poisoned: Poisoned) -> None:
    """Of each consumer or of one, the oldest first; nothing of what an event says."""
    reasons = ["CheckViolationError", "BEHIND_ANOTHER", "BEHIND_ANOTHER"]
    types = ["order.completed", "order.cancellation_requested", "order.cancelled"]
    found = letters(platform)
    assert [tuple(letter[key] for key in ("consumer", "event_id", "type", "reason")) for letter in found] == [
        (consumer, *letter)
        for consumer in ("order_summaries", "notification")
        for letter in zip(poisoned.event_ids, types, reasons, strict=True)
    ]
    assert [letter["aggregate_version"] for letter in found] == [2, 3, 4, 2, 3, 4]
    assert {letter["aggregate_id"] for letter in found} == {str(poisoned.order_id)}
    assert letters(platform, "--consumer", "notification") == found[3:]
    table = platform.plumb("deadletters", "list").stdout
    heading, *rows = table.splitlines()
    assert heading.split() == ["consumer", "event", "type", "order", "version", "reason", "parked"]
    assert [tuple(row.split()[:6]) for row in rows] == [
        tuple(
            str(letter[key]) for key in ("consumer", "event_id", "type", "aggregate_id", "aggregate_version", "reason")
        )
        for letter in found
    ]
    assert str(poisoned.customer_id) not in table + json.dumps(found)


def test_a_replay_before_the_fix_reports_the_cause(platform: Platform, poisoned: Poisoned) -> None:
    """Exit 1, with the event; everything is left as it was."""
    before = letters(platform)
    result = platform.plumb("deadletters", "replay")
    assert (result.exit_code, result.stdout.splitlines()) == (
        1,
        [
            f"{consumer}: 0 replayed, 3 left; event {poisoned.event_ids[0]}: CheckViolationError"
            for consumer in ("order_summaries", "notification")
        ]
        + NOTHING_ELSE,
    )
    assert letters(platform) == before


def test_a_parked_saga_is_listed_and_made_due_again(platform: Platform) -> None:
    """The saga worker settles it later."""

    async def park(shop: Shop) -> UUID:
        await stock(shop, A=1)
        order = await shop.orders.place_order(place(A=1))
        async with shop.order_database.transaction("test") as transaction:
            insert = "INSERT INTO sagas (order_id, due_time, logical_shard) VALUES ($1, now(), 0)"
            await transaction.execute("INSERT", insert, order.order_id)
        sagas = PostgresSagas(database=shop.order_database, lease_seconds=0)
        (saga,) = await sagas.claim(1)
        assert await sagas.park(saga, reason="REQUEST_ID_REUSED")
        return order.order_id

    order_id = platform.let(park)
    (letter,) = letters(platform)
    shown = ("consumer", "type", "aggregate_id", "aggregate_version", "reason")
    assert [letter[key] for key in shown] == ["saga_worker", "saga", str(order_id), 2, "REQUEST_ID_REUSED"]
    assert str(order_id) in platform.plumb("deadletters", "list", "--consumer", "saga_worker").stdout
    replaying = platform.plumb("deadletters", "replay", "--consumer", "saga_worker")
    assert (replaying.exit_code, replaying.stdout) == (0, "saga_worker: 1 due again, 0 left\n")
    assert letters(platform) == []


def test_a_replay_after_the_fix_takes_effect_once(platform: Platform, poisoned: Poisoned) -> None:
    """In the order's own order; neither a second replay nor the log's repeat adds anything."""

    async def mend(shop: Shop) -> None:
        assert (await listed(shop))[poisoned.order_id][1:3] == (1, "PENDING")
        await change(shop.dsns, WIDEN)

    platform.let(mend)
    one = platform.plumb("deadletters", "replay", "--consumer", "notification")
    assert (one.exit_code, one.stdout) == (0, "notification: 3 replayed, 0 left\n")
    both = platform.plumb("deadletters", "replay")
    assert both.stdout.splitlines()[:2] == ["order_summaries: 3 replayed, 0 left", "notification: 0 replayed, 0 left"]
    platform.let(lambda shop: assert_applied_once(shop, poisoned))
    again = platform.plumb("deadletters", "replay")
    assert (again.exit_code, again.stdout) == (0, both.stdout.replace("3", "0"))
    platform.let(redeliver)
    platform.let(lambda shop: assert_applied_once(shop, poisoned))

"""The list equals the fold of the events in any order of arrival, and its pages have no gaps."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from services.infra.messaging.message import Message
from services.kernel.errors import InvalidField
from services.order.adapters.page_token import decode_page_token, encode_page_token
from services.order.adapters.summaries import PostgresSummaries, project
from services.order.api import ListOrders, OrderSnapshot, OrderState
from services.order.consumers.order_summaries import OrderEvents
from tests.contract.shop import Shop
from tests.integration.read_model.conftest import follow, live
from tests.integration.read_model.folding import all_folded, folded, histories, listed

# The shop is opened once for all examples, of which each empties the list. They are small: to shrink one takes long.
EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
CUSTOMER_ID, ANOTHER_ID = uuid4(), uuid4()
# Microseconds, of which there are fewer than orders: most orders have their time in common with others.
TICKS = st.integers(0, 3)
JSON = st.recursive(
    st.none() | st.integers(-5, 5) | st.floats() | st.text(max_size=8) | st.datetimes().map(str),
    lambda inner: st.lists(inner, min_size=3, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
# A clock may stand in any zone, to the minute.
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.fixture
async def published(shop: Shop) -> Sequence[Message]:
    """Return the messages of the log after three orders."""
    await live(shop)
    batch = await shop.log.read(after=0, limit=100, wait_seconds=0)
    return [delivery.message for delivery in batch.deliveries]


def delivered(data: st.DataObject, published: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Draw batches that hold each order's events up to one of them, at least once and in any order."""
    last = {message.aggregate_id: data.draw(st.integers(1, 4)) for message in published}
    happened = [message for message in published if message.aggregate_version <= last[message.aggregate_id]]
    repeats = data.draw(st.lists(st.sampled_from(happened), max_size=6))
    messages = data.draw(st.permutations([*happened, *repeats]))
    while messages:
        size = data.draw(st.integers(1, len(messages)))
        yield messages[:size]
        messages = messages[size:]


def snapshot(tick: int, customer_id: UUID = CUSTOMER_ID) -> OrderSnapshot:
    """Return an order that was placed some microseconds after the beginning."""
    at = BEGUN + timedelta(microseconds=tick)
    return OrderSnapshot(uuid4(), customer_id, 1, OrderState.PENDING, 1, None, at, at)


def place_of(order: OrderSnapshot) -> tuple[datetime, UUID]:
    """Return the sort key of an order; the greatest is listed first."""
    return order.create_time, order.order_id


async def put(shop: Shop, orders: Sequence[OrderSnapshot]) -> None:
    async with shop.databases["order_read"].transaction("test") as transaction:
        await project(transaction, orders)


async def clear(shop: Shop) -> None:
    async with shop.databases["order_read"].transaction("test") as transaction:
        await transaction.execute("DELETE", "DELETE FROM order_summaries")


@EXAMPLES
@given(data=st.data())
async def test_late_repeated_and_reordered_events_end_in_their_fold(
    shop: Shop, published: Sequence[Message], data: st.DataObject
) -> None:
    """After each batch every order is as the latest event that came left it; what was new is counted."""
    await clear(shop)
    recorded, handle, latest = await histories(shop), OrderEvents(project=project), dict[UUID, int]()
    for batch in delivered(data, published):
        said = {(message.aggregate_id, message.aggregate_version) for message in batch}
        newer = sorted((order_id, version) for order_id, version in said if version > latest.get(order_id, 0))
        async with shop.databases["order_read"].transaction("test") as transaction:
            assert await handle(transaction, batch) == len(newer)
        latest |= dict(newer)
        assert await listed(shop) == {key: folded(key, recorded[key][:version]) for key, version in latest.items()}


async def test_a_repeated_event_writes_nothing(shop: Shop) -> None:
    """A consumer that is put back to the beginning leaves every row as it is, and then goes on."""
    await live(shop)
    select = "SELECT order_id, version, xmin::text FROM order_summaries ORDER BY order_id"
    before = await shop.databases["order_read"].fetch("SELECT", select)
    async with shop.databases["order_read"].transaction("test") as transaction:
        assert await transaction.execute("UPDATE", "UPDATE consumer_cursors SET position = 0") == 1
    await follow(shop)
    assert await shop.databases["order_read"].fetch("SELECT", select) == before
    await live(shop)
    assert await listed(shop) == await all_folded(shop)


@EXAMPLES
@given(first=st.lists(TICKS, min_size=1, max_size=9), later=st.lists(TICKS, max_size=9), page_size=st.integers(1, 4))
async def test_pages_are_complete_while_orders_change(
    shop: Shop, first: list[int], later: list[int], page_size: int
) -> None:
    """Newest first, ties by id; what comes between two pages is on a later one when it belongs there."""
    await clear(shop)
    summaries, orders = PostgresSummaries(database=shop.databases["order_read"]), [snapshot(tick) for tick in first]
    await put(shop, [*orders, *(snapshot(tick, ANOTHER_ID) for tick in range(4))])
    expected = {place_of(order) for order in orders}
    found: list[tuple[datetime, UUID]] = []
    token, has_more = "", True
    while has_more:
        page = await summaries.page(ListOrders(CUSTOMER_ID, page_size, token))
        found += [(order.create_time, order.order_id) for order in page.orders]
        token, has_more = page.next_page_token, bool(page.next_page_token)
        assert len(page.orders) == page_size or not has_more
        if has_more and later:
            orders.append(late := snapshot(later.pop()))
            expected |= {place_of(late)} if place_of(late) < found[-1] else set()
            orders = [replace(order, version=order.version + 1, state=OrderState.CANCELLED) for order in orders]
            await put(shop, orders)
    assert found == sorted(expected, reverse=True)


async def test_a_page_token_that_is_malformed_names_its_field(shop: Shop) -> None:
    """Whether it is no token at all, has other values in it, or is of another list."""
    at, order_id, customer_id = BEGUN.isoformat(), str(uuid4()), str(CUSTOMER_ID)
    contents: list[object] = [
        *([], {}, 7, None, "abc", [at, order_id], [at, order_id, customer_id, 1], ["soon", order_id, customer_id]),
        *([1, order_id, customer_id], [at, 1, customer_id], [at, order_id, None], [at, "order", customer_id]),
        *([at, order_id, str(ANOTHER_ID)], ["2026-01-01T00:00:00", order_id, customer_id]),
        ["9999-12-31T23:59:59-23:00", order_id, customer_id],
    ]
    tokens = [urlsafe_b64encode(orjson.dumps(content)).decode() for content in contents]
    summaries = PostgresSummaries(database=shop.databases["order_read"])
    for token in ("none", "=", "é", "\ud800", *tokens, tokens[-1][:-5]):
        with pytest.raises(InvalidField) as caught:
            await summaries.page(ListOrders(CUSTOMER_ID, 1, token))
        assert (caught.value.field, caught.value.reason) == ("page_token", "INVALID_PAGE_TOKEN"), token


@settings(max_examples=50, deadline=None)
@given(content=st.text() | st.binary().map(urlsafe_b64encode) | JSON.map(orjson.dumps).map(urlsafe_b64encode))
def test_no_text_is_more_than_an_invalid_page_token(content: str | bytes) -> None:
    """Whatever a customer sends, it is refused and breaks nothing."""
    token = content if isinstance(content, str) else content.decode()
    if token:
        with pytest.raises(InvalidField):
            decode_page_token(token, CUSTOMER_ID)


@settings(max_examples=50, deadline=None)
@given(after=st.timedeltas(timedelta(0), timedelta(days=36_500)), zone=ZONES, order_id=st.uuids())
def test_a_page_token_says_where_the_next_page_begins(after: timedelta, zone: timezone, order_id: UUID) -> None:
    """To the microsecond, wherever its clock stood."""
    at = (BEGUN + after).astimezone(zone)
    assert decode_page_token(encode_page_token(at, order_id, CUSTOMER_ID), CUSTOMER_ID) == (at, order_id)

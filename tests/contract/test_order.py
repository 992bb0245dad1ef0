"""The contract of orders, in process and over gRPC."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest
from shop.order.v1 import order_service_pb2 as pb
from shop.order.v1.order_events_pb2 import OrderEvent

from services.inventory.api import Delivery, Restock
from services.kernel.errors import InvalidField, RequestIdReused
from services.order.adapters.sagas import PostgresSagas
from services.order.api import (
    CancelOrder,
    GetOrder,
    ListOrders,
    Order,
    OrderLine,
    OrderNotCancellable,
    OrderNotFound,
    OrderRejected,
    OrderState,
    OutOfStock,
    PlaceOrder,
    PricedLine,
    Rejection,
    Shortage,
    SkuNotFound,
)
from tests.contract.shop import Mode, Shop, available, gbp, place, request_id, stock
from tests.full import in_full


@pytest.fixture(params=["in_process", "grpc", *in_full("sharded")])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Return the mode of calling."""
    found: Mode = request.param
    return found


async def read(shop: Shop, order_id: UUID, customer_id: UUID) -> Order:
    """Read an order."""
    return await shop.orders.get_order(GetOrder(customer_id, order_id))


async def test_an_order_that_can_be_met_is_confirmed(shop: Shop) -> None:
    """It carries inventory's prices and their total, and reads back as it was answered."""
    await stock(shop, A=5, B=5)
    command = place(A=2, B=1)
    order = await shop.orders.place_order(command)
    assert order.state is OrderState.CONFIRMED
    assert order.lines == (PricedLine("A", 2, gbp(250)), PricedLine("B", 1, gbp(250)))
    assert order.total == gbp(750)
    assert (order.rejection, order.version, order.customer_id) == (None, 2, command.customer_id)
    assert await read(shop, order.order_id, command.customer_id) == order
    assert await available(shop, "A") == 3


async def test_short_stock_makes_a_stored_rejected_order(shop: Shop) -> None:
    """The error names the order and every short SKU; the order keeps them."""
    await stock(shop, A=1, B=9)
    command = place(A=2, B=1)
    with pytest.raises(OutOfStock) as caught:
        await shop.orders.place_order(command)
    assert caught.value.shortages == (Shortage("A", 2, 1),)
    order = await read(shop, caught.value.order_id, command.customer_id)
    assert (order.state, order.total) == (OrderState.REJECTED, None)
    assert order.rejection == Rejection("OUT_OF_STOCK", shortages=(Shortage("A", 2, 1),))
    assert await available(shop, "B") == 9


async def test_unknown_skus_make_a_stored_rejected_order(shop: Shop) -> None:
    """The error names the order and every unknown SKU."""
    command = place(X=1, Y=1)
    with pytest.raises(SkuNotFound) as caught:
        await shop.orders.place_order(command)
    assert caught.value.skus == ("X", "Y")
    order = await read(shop, caught.value.order_id, command.customer_id)
    assert order.rejection == Rejection("SKU_NOT_FOUND", skus=("X", "Y"))


async def test_an_order_above_the_price_limit_releases_its_stock(shop: Shop) -> None:
    """The reservation is compensated, the order kept as rejected."""
    await shop.inventory.restock(Restock(request_id(), (Delivery("GOLD", 10_000, gbp(10_000_000)),)))
    with pytest.raises(OrderRejected) as caught:
        await shop.orders.place_order(place(GOLD=11))
    assert caught.value == OrderRejected(caught.value.order_id, "ORDER_TOTAL_EXCEEDED")
    assert await available(shop, "GOLD") == 10_000


async def test_a_repeat_returns_the_first_order(shop: Shop) -> None:
    """The stock is sold once."""
    await stock(shop, A=5)
    command = place(A=2)
    assert await shop.orders.place_order(command) == await shop.orders.place_order(command)
    assert await available(shop, "A") == 3


async def test_a_repeat_of_a_rejected_order_is_rejected_alike(shop: Shop) -> None:
    """The same order id, the same shortages, although there is stock now."""
    await stock(shop, A=1)
    command = place(A=2)
    with pytest.raises(OutOfStock) as first:
        await shop.orders.place_order(command)
    await stock(shop, A=9)
    with pytest.raises(OutOfStock) as second:
        await shop.orders.place_order(command)
    assert second.value == first.value


async def test_a_request_id_with_other_content_is_refused(shop: Shop) -> None:
    """Another order, or a cancellation, under the same key."""
    await stock(shop, A=5)
    command = place(A=2)
    order = await shop.orders.place_order(command)
    with pytest.raises(RequestIdReused):
        await shop.orders.place_order(replace(command, lines=(OrderLine("A", 3),)))
    with pytest.raises(RequestIdReused):
        await shop.orders.cancel_order(CancelOrder(command.request_id, command.customer_id, order.order_id))


async def test_request_ids_belong_to_a_customer(shop: Shop) -> None:
    """Two customers may choose the same one."""
    await stock(shop, A=5)
    command = place(A=2)
    mine = await shop.orders.place_order(command)
    theirs = await shop.orders.place_order(replace(command, customer_id=uuid4()))
    assert mine.order_id != theirs.order_id


async def test_another_customers_order_is_not_found(shop: Shop) -> None:
    """Neither to read nor to cancel."""
    await stock(shop, A=5)
    order = await shop.orders.place_order(place(A=2))
    with pytest.raises(OrderNotFound) as caught:
        await read(shop, order.order_id, uuid4())
    assert caught.value == OrderNotFound(order.order_id)
    with pytest.raises(OrderNotFound):
        await shop.orders.cancel_order(CancelOrder(request_id(), uuid4(), order.order_id))


async def test_cancelling_a_confirmed_order_returns_its_stock(shop: Shop) -> None:
    """Once, also when it is repeated under the same or another request id."""
    await stock(shop, A=5)
    command = place(A=2)
    order = await shop.orders.place_order(command)
    cancel = CancelOrder(request_id(), command.customer_id, order.order_id)
    cancelled = await shop.orders.cancel_order(cancel)
    assert (cancelled.state, cancelled.version) == (OrderState.CANCELLED, 4)
    assert await shop.orders.cancel_order(cancel) == cancelled
    assert await shop.orders.cancel_order(replace(cancel, request_id=request_id())) == cancelled
    assert await available(shop, "A") == 5


async def test_a_rejected_order_is_not_cancelled(shop: Shop) -> None:
    """It holds no stock."""
    command = place(X=1)
    with pytest.raises(SkuNotFound) as rejected:
        await shop.orders.place_order(command)
    with pytest.raises(OrderNotCancellable) as caught:
        await shop.orders.cancel_order(CancelOrder(request_id(), command.customer_id, rejected.value.order_id))
    assert caught.value == OrderNotCancellable(rejected.value.order_id)


async def test_an_order_stays_pending_in_an_outage_until_a_repeat(shop: Shop) -> None:
    """PENDING is stored before stock is touched; the repeat drives the same order to its end."""
    await stock(shop, A=5)
    command = place(A=2)
    async with inventory_unavailable(shop):
        pending = await shop.orders.place_order(command)
    assert (pending.state, pending.total) == (OrderState.PENDING, None)
    finished = await shop.orders.place_order(command)
    assert (finished.order_id, finished.state) == (pending.order_id, OrderState.CONFIRMED)
    assert await available(shop, "A") == 3


async def test_cancelling_a_pending_order_releases_what_it_may_hold(shop: Shop) -> None:
    """A repeat of the order then finds it cancelled, and no stock is held."""
    await stock(shop, A=5)
    command = place(A=2)
    async with inventory_unavailable(shop):
        pending = await shop.orders.place_order(command)
    cancelled = await shop.orders.cancel_order(CancelOrder(request_id(), command.customer_id, pending.order_id))
    assert cancelled.state is OrderState.CANCELLED
    assert (await shop.orders.place_order(command)).state is OrderState.CANCELLED
    assert await available(shop, "A") == 5


async def test_a_customers_orders_come_newest_first_page_by_page(shop: Shop) -> None:
    """Keyset pages hold each order once; the last has no token."""
    await stock(shop, A=50)
    customer_id = uuid4()
    placed = [(await shop.orders.place_order(place(customer_id, A=1))).order_id for _ in range(5)]
    await shop.orders.place_order(place(A=1))
    await shop.catch_up()
    listed, token = [], ""
    for expected in (2, 2, 1):
        page = await shop.orders.list_orders(ListOrders(customer_id, 2, token))
        assert len(page.orders) == expected
        listed += [order.order_id for order in page.orders]
        token = page.next_page_token
    assert (listed, token) == (placed[::-1], "")


async def test_a_page_token_is_bound_to_its_list(shop: Shop) -> None:
    """Another customer's token, and one that is none, name the field."""
    await stock(shop, A=50)
    customer_id = uuid4()
    for _ in range(2):
        await shop.orders.place_order(place(customer_id, A=1))
    await shop.catch_up()
    token = (await shop.orders.list_orders(ListOrders(customer_id, 1))).next_page_token
    for query in (ListOrders(uuid4(), 1, token), ListOrders(customer_id, 1, "none")):
        with pytest.raises(InvalidField) as caught:
            await shop.orders.list_orders(query)
        assert (caught.value.field, caught.value.reason) == ("page_token", "INVALID_PAGE_TOKEN")


async def test_saga_worker_finishes_a_cancellation_after_an_outage(shop: Shop) -> None:
    """The cancellation is stored first, so no repeat is needed."""
    await stock(shop, A=5)
    command = place(shop.customer(), A=2)
    order = await shop.orders.place_order(command)
    async with inventory_unavailable(shop):
        wished = await shop.orders.cancel_order(CancelOrder(request_id(), command.customer_id, order.order_id))
        assert (wished.state, wished.cancellation_requested) == (OrderState.CONFIRMED, True)
        assert await read(shop, order.order_id, command.customer_id) == wished
    await finish(shop)
    assert (await read(shop, order.order_id, command.customer_id)).state is OrderState.CANCELLED
    assert await available(shop, "A") == 5


async def test_saga_worker_finishes_a_pending_order(shop: Shop) -> None:
    """The request is not repeated."""
    await stock(shop, A=5)
    command = place(shop.customer(), A=2)
    async with inventory_unavailable(shop):
        pending = await shop.orders.place_order(command)
    await finish(shop)
    assert (await read(shop, pending.order_id, command.customer_id)).state is OrderState.CONFIRMED
    assert await available(shop, "A") == 3


async def test_the_saga_worker_leaves_a_young_order_to_its_request(shop: Shop) -> None:
    """Until its grace is over."""
    await stock(shop, A=5)
    async with inventory_unavailable(shop):
        pending = await shop.orders.place_order(command := place(shop.customer(), A=2))
    await shop.parts.servers[0].saga_worker.step()
    assert (await read(shop, pending.order_id, command.customer_id)).state is OrderState.PENDING


async def test_a_permanent_rejection_by_inventory_reaches_no_customer(shop: Shop) -> None:
    """Order and cancellation are stored, and the saga is parked for a person."""
    await stock(shop, A=5)
    command = place(shop.customer(), A=2)
    order_id = await leave_pending(shop, command)
    cancel = CancelOrder(request_id(), command.customer_id, order_id)
    async with refused_for_good(shop, f"{order_id}:reserve", f"{order_id}:release"):
        assert (await shop.orders.place_order(command)).state is OrderState.PENDING
        wished = await shop.orders.cancel_order(cancel)
        assert (wished.state, wished.cancellation_requested) == (OrderState.PENDING, True)
    assert (await shop.orders.cancel_order(cancel)).state is OrderState.CANCELLED


async def test_a_permanent_error_parks_an_order_as_a_dead_letter(shop: Shop) -> None:
    """Once: the saga worker ignores it until a person makes it due again."""
    await stock(shop, A=5)
    command = place(shop.customer(), A=2)
    order_id = await leave_pending(shop, command)
    sagas = PostgresSagas(database=shop.order_database, lease_seconds=1)
    async with refused_for_good(shop, f"{order_id}:reserve"):
        await make_due(shop)
        for _ in range(2):
            await shop.parts.servers[0].saga_worker.step()
        parked = [(saga.order_id, saga.version, saga.parked_reason) for saga in await sagas.parked(10)]
        assert parked == [(order_id, 1, "REQUEST_ID_REUSED")]
        labels = {"context": "order", "consumer": "saga_worker"}
        assert shop.runtime.metrics.registry.get_sample_value("shop_dead_letters_total", labels) == 1
    assert (await sagas.replay(), await sagas.count_parked()) == (1, 0)
    await shop.parts.servers[0].saga_worker.step()
    assert (await read(shop, order_id, command.customer_id)).state is OrderState.CONFIRMED


async def test_a_parked_order_that_is_cancelled_is_tried_again(shop: Shop) -> None:
    """What comes next is another step, which may be possible."""
    await stock(shop, A=5)
    command = place(shop.customer(), A=2)
    order_id = await leave_pending(shop, command)
    async with refused_for_good(shop, f"{order_id}:reserve"):
        await make_due(shop)
        await shop.parts.servers[0].saga_worker.step()
    async with inventory_unavailable(shop), refused_for_good(shop, f"{order_id}:release"):
        await shop.orders.cancel_order(CancelOrder(request_id(), command.customer_id, order_id))
    await finish(shop)
    assert (await read(shop, order_id, command.customer_id)).state is OrderState.CANCELLED


async def test_every_step_of_an_order_is_published_once_and_in_order(shop: Shop) -> None:
    """With the order as it was right after the step, for consumers that know nothing else of it."""
    await stock(shop, A=5)
    command = place(shop.customer(), A=2)
    order = await shop.orders.place_order(command)
    await shop.orders.cancel_order(CancelOrder(request_id(), command.customer_id, order.order_id))
    await shop.catch_up()
    batch = await shop.log.read(after=0, limit=10, wait_seconds=0)
    events = [OrderEvent.FromString(delivery.message.data) for delivery in batch.deliveries]
    assert [(event.type, event.aggregate_version, event.state) for event in events] == [
        ("order.placed", 1, pb.ORDER_STATE_PENDING),
        ("order.completed", 2, pb.ORDER_STATE_CONFIRMED),
        ("order.cancellation_requested", 3, pb.ORDER_STATE_CONFIRMED),
        ("order.cancelled", 4, pb.ORDER_STATE_CANCELLED),
    ]
    assert {(event.aggregate_id, event.customer_id, event.line_count) for event in events} == {
        (str(order.order_id), str(command.customer_id), 1)
    }
    assert [event.HasField("total") for event in events] == [False, True, True, True]


@asynccontextmanager
async def inventory_unavailable(shop: Shop) -> AsyncIterator[None]:
    """Let inventory fail during a with block."""
    connection = await asyncpg.connect(shop.inventory_dsn)
    try:
        await connection.execute("ALTER TABLE items RENAME TO items_away")
        yield
    finally:
        await connection.execute("ALTER TABLE items_away RENAME TO items")
        await connection.close()


@asynccontextmanager
async def refused_for_good(shop: Shop, *request_ids: str) -> AsyncIterator[None]:
    """Let inventory hold other content under some request ids during a with block."""
    connection = await asyncpg.connect(shop.inventory_dsn)
    try:
        insert = """
            INSERT INTO idempotency_keys (scope, request_id, digest, resource_id)
            SELECT '', unnest($1::text[]), decode(repeat('00', 32), 'hex'), gen_random_uuid()"""
        await connection.execute(insert, request_ids)
        yield
        await connection.execute("DELETE FROM idempotency_keys WHERE request_id = ANY($1)", request_ids)
    finally:
        await connection.close()


async def leave_pending(shop: Shop, command: PlaceOrder) -> UUID:
    """Place an order while inventory is unavailable; return its id."""
    async with inventory_unavailable(shop):
        return (await shop.orders.place_order(command)).order_id


async def make_due(shop: Shop) -> None:
    """Let the grace of every saga be over."""
    async with shop.order_database.transaction("test") as transaction:
        await transaction.execute("UPDATE", "UPDATE sagas SET due_time = now()")


async def finish(shop: Shop) -> None:
    """Make every saga due, and run the saga worker."""
    connection = await asyncpg.connect(shop.order_dsn)
    try:
        await connection.execute("UPDATE sagas SET due_time = now()")
        await shop.parts.servers[0].saga_worker.step()
        assert await connection.fetchval("SELECT count(*) FROM sagas") == 0
    finally:
        await connection.close()

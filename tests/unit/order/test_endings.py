"""Every outcome of PlaceOrder and CancelOrder, with fakes for the ports."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from services.inventory import api as inventory_api
from services.kernel.clock import utc_now
from services.kernel.errors import (
    CircuitOpen,
    DeadlineExceeded,
    Internal,
    Overloaded,
    RequestIdReused,
    ServiceError,
    Unavailable,
)
from services.kernel.money import Money
from services.order.api import (
    CancelOrder,
    Order,
    OrderLine,
    OrderNotCancellable,
    OrderRejected,
    OrderState,
    OutOfStock,
    PlaceOrder,
    Shortage,
    SkuNotFound,
)
from services.order.application.commands.cancel_order import CancelOrderHandler
from services.order.application.commands.finish_order import FinishOrderHandler
from services.order.application.commands.place_order import PlaceOrderHandler
from services.order.application.ports import Saga
from services.order.application.settle_order import SettleOrder
from tests.fakes.inventory import FakeInventory
from tests.fakes.orders import FakeOrders
from tests.fakes.tokens import FakeTokens

RESERVATION = uuid4()


class Shop:
    """The use cases over fakes."""

    def __init__(self, inventory: FakeInventory | None = None) -> None:
        self.orders = FakeOrders()
        self.inventory = inventory or FakeInventory()
        self.compensations: list[None] = []
        settle = SettleOrder(
            orders=self.orders,
            inventory=self.inventory,
            clock=utc_now,
            compensated=lambda: self.compensations.append(None),
        )
        self._place = PlaceOrderHandler(
            orders=self.orders,
            tokens=FakeTokens(),
            settle=settle,
            check_inventory=self.inventory.check,
            clock=utc_now,
            new_id=lambda _customer_id: uuid4(),
        )
        self._cancel = CancelOrderHandler(orders=self.orders, tokens=FakeTokens(), settle=settle, clock=utc_now)
        self._finish = FinishOrderHandler(orders=self.orders, settle=settle)
        self.command = PlaceOrder("place", uuid4(), (OrderLine("A", 2), OrderLine("B", 1)))

    async def place(self) -> Order:
        """Place the one order of the test, or repeat it."""
        return await self._place(self.command)

    async def cancel(self, order_id: UUID) -> Order:
        """Cancel it."""
        return await self._cancel(CancelOrder("cancel", self.command.customer_id, order_id))

    async def finish(self) -> OrderState:
        """Settle the one order as the saga worker does; return its state."""
        (order_id,) = self.orders.histories
        return (await self._finish(Saga(order_id, self.command.customer_id, 1, 1, ""))).state

    def state(self) -> OrderState:
        """Return the state of the one order."""
        (order_id,) = self.orders.histories
        return self.orders.fold(order_id).state


async def test_a_met_order_is_reserved_then_confirmed() -> None:
    """In this order, once each."""
    shop = Shop()
    order = await shop.place()
    assert (order.state, order.total) == (OrderState.CONFIRMED, Money("GBP", 750))
    assert shop.inventory.calls == ["reserve", "confirm"]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (inventory_api.OutOfStock(RESERVATION, (inventory_api.Shortage("A", 2, 1),)), OutOfStock),
        (inventory_api.SkuNotFound(("A",)), SkuNotFound),
        (inventory_api.ReservationVoided(RESERVATION), OrderRejected),
        (inventory_api.ReservationStateConflict(RESERVATION, inventory_api.ReservationState.RELEASED), OrderRejected),
    ],
)
async def test_a_refused_reservation_rejects_the_order(failure: Exception, expected: type[Exception]) -> None:
    """Stored as REJECTED; nothing is confirmed."""
    shop = Shop()
    shop.inventory.failures["reserve"] = [failure]
    with pytest.raises(expected):
        await shop.place()
    assert shop.state() is OrderState.REJECTED
    assert shop.inventory.calls == ["reserve"]


async def test_the_shortages_are_inventorys_own() -> None:
    """SKU, requested and available pass through."""
    shop = Shop()
    shop.inventory.failures["reserve"] = [inventory_api.OutOfStock(RESERVATION, (inventory_api.Shortage("A", 2, 1),))]
    with pytest.raises(OutOfStock) as caught:
        await shop.place()
    assert caught.value.shortages == (Shortage("A", 2, 1),)


async def test_an_expired_reservation_rejects_the_order() -> None:
    """The reason is kept."""
    shop = Shop()
    shop.inventory.failures["confirm"] = [inventory_api.ReservationExpired(RESERVATION)]
    with pytest.raises(OrderRejected) as caught:
        await shop.place()
    assert caught.value.rejection_reason == "RESERVATION_EXPIRED"


@pytest.mark.parametrize(
    ("inventory", "reason"),
    [
        (FakeInventory(lambda sku: Money("GBP" if sku == "A" else "EUR", 1)), "CURRENCY_MISMATCH"),
        (FakeInventory(Money("GBP", 50_000_000)), "ORDER_TOTAL_EXCEEDED"),
    ],
)
async def test_unsellable_stock_is_released(inventory: FakeInventory, reason: str) -> None:
    """The reservation is compensated before the order is rejected."""
    shop = Shop(inventory)
    with pytest.raises(OrderRejected) as caught:
        await shop.place()
    assert caught.value.rejection_reason == reason
    assert shop.inventory.calls == ["reserve", "release"]


@pytest.mark.parametrize("call", ["reserve", "confirm"])
async def test_an_unknown_outcome_leaves_the_order_pending(call: str) -> None:
    """The repeat settles the same order; its steps have the same request ids."""
    shop = Shop()
    shop.inventory.failures[call] = [Unavailable(1.0)]
    pending = await shop.place()
    assert pending.state is OrderState.PENDING
    finished = await shop.place()
    assert (finished.order_id, finished.state) == (pending.order_id, OrderState.CONFIRMED)


async def test_a_repeat_of_a_settled_order_makes_no_call_to_inventory() -> None:
    """The stored order is the answer."""
    shop = Shop()
    first = await shop.place()
    assert await shop.place() == first
    assert shop.inventory.calls == ["reserve", "confirm"]


async def test_cancelling_a_sale_returns_its_stock() -> None:
    """Once: the second cancellation finds it cancelled."""
    shop = Shop()
    order = await shop.place()
    shop.inventory.failures["release"] = [sold(order.order_id)]
    assert (await shop.cancel(order.order_id)).state is OrderState.CANCELLED
    assert (await shop.cancel(order.order_id)).state is OrderState.CANCELLED
    assert shop.inventory.calls == ["reserve", "confirm", "release", "return"]
    assert len(shop.compensations) == 1


async def test_cancelling_a_pending_order_releases() -> None:
    """Its reservation may or may not exist."""
    shop = Shop()
    shop.inventory.failures["reserve"] = [Unavailable(1.0)]
    order = await shop.place()
    await shop.cancel(order.order_id)
    assert shop.inventory.calls == ["reserve", "release"]
    assert shop.state() is OrderState.CANCELLED


async def test_cancelling_a_sale_that_completed_returns_its_stock() -> None:
    """Inventory says that it is confirmed although the order is still PENDING here."""
    shop = Shop()
    shop.inventory.failures["confirm"] = [Unavailable(1.0)]
    order = await shop.place()
    shop.inventory.failures["release"] = [sold(order.order_id)]
    assert (await shop.cancel(order.order_id)).state is OrderState.CANCELLED
    assert shop.inventory.calls[-2:] == ["release", "return"]


async def test_a_sale_that_finds_a_cancellation_carries_it_out() -> None:
    """The customer cancelled while the order was being confirmed: the goods are returned."""
    shop = Shop()
    confirm = shop.inventory.confirm_reservation

    async def cancelled_meanwhile(command: inventory_api.ConfirmReservation) -> inventory_api.Reservation:
        requested = shop.orders.fold(command.reservation_id).request_cancellation(at=utc_now())
        assert requested is not None
        shop.orders.append(requested)
        shop.inventory.failures["release"] = [sold(command.reservation_id)]
        return await confirm(command)

    shop.inventory.confirm_reservation = cancelled_meanwhile  # type: ignore[method-assign]  # in the midst of the sale
    order = await shop.place()
    assert (order.state, order.version) == (OrderState.CANCELLED, 3)
    assert shop.inventory.calls == ["reserve", "confirm", "release", "return"]


async def test_a_sale_after_a_release_is_cancelled() -> None:
    """The cancellation was stored before the release, so the order becomes CANCELLED."""
    shop = Shop()
    reserve = shop.inventory.reserve_stock

    async def released_meanwhile(command: inventory_api.ReserveStock) -> inventory_api.Reservation:
        await reserve(command)
        requested = shop.orders.fold(command.reservation_id).request_cancellation(at=utc_now())
        assert requested is not None
        shop.orders.append(requested)
        raise inventory_api.ReservationStateConflict(command.reservation_id, inventory_api.ReservationState.RELEASED)

    shop.inventory.reserve_stock = released_meanwhile  # type: ignore[method-assign]  # in the midst of the sale
    assert (await shop.place()).state is OrderState.CANCELLED


@pytest.mark.parametrize("call", ["release", "return"])
async def test_a_requested_cancellation_is_finished_by_the_saga_worker(call: str) -> None:
    """The cancellation was stored before the step that failed."""
    shop = Shop()
    order = await shop.place()
    shop.inventory.failures["release"] = [sold(order.order_id)] * 2
    shop.inventory.failures[call] = [Unavailable(1.0), *shop.inventory.failures.get(call, [])]
    wished = await shop.cancel(order.order_id)
    assert (wished.state, wished.cancellation_requested) == (OrderState.CONFIRMED, True)
    assert await shop.finish() is OrderState.CANCELLED


@pytest.mark.parametrize("call", ["reserve", "confirm"])
async def test_saga_worker_finishes_a_pending_order(call: str) -> None:
    """The request is not repeated."""
    shop = Shop()
    shop.inventory.failures[call] = [Unavailable(1.0)]
    await shop.place()
    assert await shop.finish() is OrderState.CONFIRMED


async def test_a_rejected_order_is_not_cancelled() -> None:
    """No stock is released."""
    shop = Shop()
    shop.inventory.failures["reserve"] = [inventory_api.SkuNotFound(("A",))]
    with pytest.raises(SkuNotFound) as rejected:
        await shop.place()
    with pytest.raises(OrderNotCancellable):
        await shop.cancel(rejected.value.order_id)
    assert shop.inventory.calls == ["reserve"]


def sold(order_id: UUID) -> inventory_api.ReservationStateConflict:
    """Return inventory's error for the release of a sold reservation."""
    return inventory_api.ReservationStateConflict(order_id, inventory_api.ReservationState.CONFIRMED)


async def test_a_new_order_is_not_stored_in_an_outage() -> None:
    """The customer gets the error at once, and may retry."""
    shop = Shop()
    shop.inventory.is_away = True
    with pytest.raises(CircuitOpen):
        await shop.place()
    assert (shop.orders.histories, shop.inventory.calls) == ({}, [])


async def test_a_repeat_of_a_finished_order_is_answered_in_an_outage() -> None:
    """It was stored."""
    shop = Shop()
    first = await shop.place()
    shop.inventory.is_away = True
    assert await shop.place() == first


async def test_a_repeat_of_a_rejected_order_is_rejected_in_an_outage() -> None:
    """By the reasons that were stored."""
    shop = Shop()
    shop.inventory.failures["reserve"] = [inventory_api.SkuNotFound(("A",))]
    with pytest.raises(SkuNotFound) as first:
        await shop.place()
    shop.inventory.is_away = True
    with pytest.raises(SkuNotFound) as repeated:
        await shop.place()
    assert repeated.value == first.value


async def test_a_repeat_of_a_pending_order_is_pending_in_an_outage() -> None:
    """It was stored before the breaker opened."""
    shop = Shop()
    shop.inventory.failures["reserve"] = [Unavailable(1.0), CircuitOpen(5.0)]
    pending = await shop.place()
    shop.inventory.is_away = True
    assert await shop.place() == pending


async def test_a_reused_key_is_rejected_in_an_outage() -> None:
    """It is the caller's mistake, whatever the state of inventory."""
    shop = Shop()
    await shop.place()
    shop.inventory.is_away = True
    shop.command = replace(shop.command, lines=shop.command.lines[:1])
    with pytest.raises(RequestIdReused):
        await shop.place()


@pytest.mark.parametrize("failure", [CircuitOpen(5.0), Overloaded(1.0), DeadlineExceeded(), Internal("")])
async def test_a_stored_cancellation_is_never_answered_with_an_error(failure: ServiceError) -> None:
    """An error would be untrue: the cancellation is stored, and the saga worker finishes it."""
    shop = Shop()
    order = await shop.place()
    shop.inventory.failures["release"] = [failure]
    wished = await shop.cancel(order.order_id)
    assert (wished.state, wished.cancellation_requested) == (OrderState.CONFIRMED, True)


async def test_an_asynchronous_order_is_stored_in_an_outage() -> None:
    """The saga worker settles it once inventory is back."""
    shop = Shop()
    shop.inventory.is_away = True
    shop.inventory.failures["reserve"] = [CircuitOpen(5.0)]
    shop.command = replace(shop.command, respond_async=True)
    assert (await shop.place()).state is OrderState.PENDING
    assert await shop.finish() is OrderState.CONFIRMED

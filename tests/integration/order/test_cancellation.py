"""Requests and workers cancelled at each of their awaits: the shop stays consistent, and a repeat finishes the work."""

from uuid import uuid4

import pytest

from services.order.api import CancelOrder, OrderState, OutOfStock
from tests.cancelling import is_cancelled_at
from tests.contract.shop import Shop, available, place, request_id, stock
from tests.integration.order.conftest import assert_sound

# Far more awaits than a request has.
MOST = 500


async def test_placing_an_order_may_end_at_any_await(shop: Shop) -> None:
    """With a repeat the order is sold once; without one it is whole, and its stock is sold or was never touched."""
    await stock(shop, A=MOST, B=MOST)
    for wait in range(1, MOST):
        repeated, left_alone = place(A=1), place(B=1)
        cancelled = await is_cancelled_at(wait, shop.parts.application.place_order(repeated))
        await is_cancelled_at(wait, shop.parts.application.place_order(left_alone))
        assert (await shop.orders.place_order(repeated)).state is OrderState.CONFIRMED
        if not cancelled:
            break
        assert await available(shop, "A") == MOST - wait
    else:
        pytest.fail("the request never ended by itself")
    assert wait > 20, "a request that waits so seldom was not cancelled where it matters"
    await assert_sound(shop)


async def test_cancelling_an_order_may_end_at_any_await(shop: Shop) -> None:
    """Once the request is stored the order is cancelled, with or without a repeat; before that nothing has changed."""
    await stock(shop, A=10)
    for wait in range(1, MOST):
        command = place(A=1)
        order = await shop.orders.place_order(command)
        cancel = CancelOrder(request_id(), command.customer_id, order.order_id)
        cancelled = await is_cancelled_at(wait, shop.parts.application.cancel_order(cancel))
        await shop.settle()
        assert (await shop.orders.cancel_order(cancel)).state is OrderState.CANCELLED
        assert await available(shop, "A") == 10
        if not cancelled:
            break
    else:
        pytest.fail("the request never ended by itself")
    await assert_sound(shop)


async def test_a_rejection_may_end_at_any_await(shop: Shop) -> None:
    """A repeat is rejected alike, and holds nothing."""
    await stock(shop, A=1)
    for wait in range(1, MOST):
        command = place(uuid4(), A=2)
        cancelled = await is_cancelled_at(wait, rejected(shop, command))
        await rejected(shop, command)
        if not cancelled:
            break
    assert await available(shop, "A") == 1
    await assert_sound(shop)


async def test_the_workers_may_end_at_any_await(shop: Shop) -> None:
    """A cancelled step of the saga worker, the relay, the projection or the notifier is repeated."""
    await stock(shop, A=MOST)
    steps = {
        "saga_worker": shop.parts.servers[0].saga_worker.step,
        "relay": shop.parts.servers[0].relay.step,
        "projection": shop.parts.servers[0].consumer.step,
        "notification": shop.notification.consume[0],
        "sending": shop.notification.send,
    }
    for name, step in steps.items():
        for wait in range(1, MOST):
            await shop.orders.place_order(place(A=1))
            if name not in {"saga_worker", "relay"}:
                while await shop.parts.servers[0].relay.step() == 0.0:
                    pass
            if not await is_cancelled_at(wait, coroutine_of(step)):
                break
            await step()  # again, to its end: the next one has as little to do as this one had
    await assert_sound(shop)


async def coroutine_of(step: object) -> None:
    """Run a step as a coroutine."""
    await step()  # type: ignore[operator]  # any of the steps above


async def rejected(shop: Shop, command: object) -> None:
    """Place an order that cannot be met."""
    with pytest.raises(OutOfStock):
        await shop.parts.application.place_order(command)  # type: ignore[arg-type]  # a PlaceOrder

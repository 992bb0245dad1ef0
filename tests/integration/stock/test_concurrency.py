"""Concurrent commands on the same SKUs: no deadlock, no overselling, and the stock adds up."""

import asyncio
import random
from collections import Counter
from uuid import uuid4

import asyncpg
import pytest

from services.inventory.api import ConfirmReservation, Delivery, OutOfStock, ReleaseReservation, Restock, ReturnStock
from services.kernel.errors import Overloaded, ServiceError
from services.kernel.money import Money
from services.order.api import CancelOrder, GetOrder, OrderError, OrderRejected, OrderState, PlaceOrder
from tests.contract.shop import Shop, available, place, request_id, reserve, stock
from tests.patience import PATIENCE_SECONDS
from tests.soundness import stock_violations, violations

WORKERS = 8
ATTEMPTS = 5
HOT_SKUS = [f"HOT{index:02d}" for index in range(30)]


async def deadlocks(shop: Shop) -> int:
    """Return how many deadlocks the inventory database has counted."""
    connection = await asyncpg.connect(shop.inventory_dsn)
    try:
        # Counters are reported when a session ends or idles; this forces the ones of this session only, so read late.
        await connection.execute("SELECT pg_stat_force_next_flush()")
        found: int = await connection.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        return found
    finally:
        await connection.close()


async def test_workers_on_hot_skus_never_deadlock(shop: Shop) -> None:
    """8 workers reserve, confirm, release and return 10 of 30 SKUs in random order, 40 times each."""
    await stock(shop, **dict.fromkeys(HOT_SKUS, 10_000))
    before = await deadlocks(shop)

    async def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(40):
            command = reserve(None, **{sku: chance.randint(1, 3) for sku in chance.sample(HOT_SKUS, 10)})
            await shop.inventory.reserve_stock(command)
            if chance.random() < 0.3:
                await shop.inventory.release_reservation(ReleaseReservation(request_id(), command.reservation_id))
                continue
            await shop.inventory.confirm_reservation(ConfirmReservation(request_id(), command.reservation_id))
            if chance.random() < 0.3:
                await shop.inventory.return_stock(ReturnStock(request_id(), command.reservation_id))

    await asyncio.gather(*(work(seed) for seed in range(WORKERS)))
    assert await deadlocks(shop) == before
    assert await stock_violations(shop.inventory_dsn) == []


async def test_a_storm_on_one_sku_sells_exactly_its_stock(shop: Shop) -> None:
    """60 buyers of one unit, 25 units: 25 sold, 35 told that it is out of stock."""
    await stock(shop, HOT=25)

    async def buy(command: PlaceOrder) -> str:
        for _ in range(ATTEMPTS):
            try:
                return (await shop.orders.place_order(command)).state.value
            except Overloaded:
                continue  # a slow disk let the queue for a connection grow to a second; nothing was done
            except OrderError as error:
                return error.reason
        return "OVERLOADED"

    commands = [place(HOT=1) for _ in range(60)]
    await asyncio.gather(*map(buy, commands))
    await shop.settle()  # what a slow disk left on its way
    outcomes = Counter([await buy(command) for command in commands])
    assert outcomes == {"CONFIRMED": 25, "OUT_OF_STOCK": 35}
    assert await available(shop, "HOT") == 0
    assert await violations(shop) == []


async def test_one_order_repeated_at_once_is_placed_once(shop: Shop) -> None:
    """20 calls with one request id: one order, one sale."""
    await stock(shop, A=100)
    command = place(A=2)
    orders = await asyncio.gather(*(shop.orders.place_order(command) for _ in range(20)))
    assert len({order.order_id for order in orders}) == 1
    assert await available(shop, "A") == 98
    assert await violations(shop) == []


async def test_concurrent_repeats_of_a_rejected_order_are_rejected(
    shop: Shop,
) -> None:
    """All calls get the same reason, whichever of them releases the stock."""
    await stock(shop, A=1_000)
    await shop.inventory.restock(Restock(request_id(), (Delivery("ABROAD", 1_000, Money("EUR", 300)),)))

    async def reason(command: PlaceOrder) -> str:
        with pytest.raises(OrderRejected) as caught:
            await shop.orders.place_order(command)
        return caught.value.rejection_reason

    for _ in range(25):
        command = place(A=1, ABROAD=1)
        reasons = await asyncio.gather(*(reason(command) for _ in range(3)))
        assert set(reasons) == {"CURRENCY_MISMATCH"}
    assert await violations(shop) == []


async def test_a_cancellation_racing_the_order_leaves_no_stock_behind(shop: Shop) -> None:
    """The order has one end state, and the stock agrees with it."""
    await stock(shop, A=1_000)
    customer_id = uuid4()

    async def race(delay_seconds: float) -> None:
        command = place(customer_id, A=1)
        placing = asyncio.create_task(shop.orders.place_order(command))
        connection = await asyncpg.connect(shop.order_dsn)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                select = "SELECT resource_id FROM idempotency_keys WHERE request_id = $1"
                # A database says nothing by itself: it must be asked.
                while (order_id := await connection.fetchval(select, command.request_id)) is None:
                    await asyncio.sleep(0)
        finally:
            await connection.close()
        await asyncio.sleep(delay_seconds)
        cancelling = shop.orders.cancel_order(CancelOrder(request_id(), customer_id, order_id))
        for outcome in await asyncio.gather(placing, cancelling, return_exceptions=True):
            assert not isinstance(outcome, BaseException) or isinstance(outcome, ServiceError)
        order = await shop.orders.get_order(GetOrder(customer_id, order_id))
        assert order.state in {OrderState.CANCELLED, OrderState.CONFIRMED, OrderState.REJECTED}

    for attempt in range(20):
        await race(attempt * 0.0005)
    assert await violations(shop) == []


async def statements(shop: Shop) -> int:
    """Return how many statements PostgreSQL has run for inventory, by its own count."""
    connection = await asyncpg.connect(shop.inventory_dsn)
    try:
        count: int = await connection.fetchval(
            "SELECT sum(calls)::bigint FROM pg_stat_statements"
            " WHERE userid = current_user::regrole AND query NOT LIKE '%pg_stat_statements%'"
        )
        return count
    finally:
        await connection.close()


async def test_reserving_takes_as_many_statements_for_any_size(shop: Shop) -> None:
    """1, 30 and 1,500 lines take as many statements, triggers' own included."""
    skus = [f"S{index:04d}" for index in range(1_500)]
    await stock(shop, **dict.fromkeys(skus, 10))
    await shop.inventory.reserve_stock(reserve(S0000=1))
    counts = []
    for lines in (1, 30, 1_500):
        before = await statements(shop)
        await shop.inventory.reserve_stock(reserve(None, **dict.fromkeys(skus[:lines], 1)))
        counts.append(await statements(shop) - before)
    assert len(set(counts)) == 1


async def test_a_refused_reservation_locks_nothing_afterwards(shop: Shop) -> None:
    """The next one goes ahead at once."""
    await stock(shop, A=1)
    with pytest.raises(OutOfStock):
        await shop.inventory.reserve_stock(reserve(A=2))
    assert (await shop.inventory.reserve_stock(reserve(A=1))).lines[0].quantity == 1

"""Invariant checks of a shop under load: work in flight is not reported as a violation."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from observability.invariants.quiescence import NotQuiet, wait_for_quiet
from observability.invariants.verification import verify
from services.inventory.api import ReleaseReservation
from services.kernel.errors import ServiceError
from services.order.api import CancelOrder
from tests.cancelling import is_cancelled_at
from tests.contract.shop import Shop, open_shop, place, request_id, reserve, stock
from tests.integration.invariants.keeping import tamper
from tests.postgres import PostgresServer
from tests.soundness import target_of

SKUS = ("A", "B", "C", "D")
ROUNDS = 8


@pytest.fixture
async def shop(postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Shop]:
    """Open a shop on empty databases."""
    async with open_shop("in_process", postgres_server.dsns) as opened:
        yield opened


@asynccontextmanager
async def working(*steps: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Repeat these steps concurrently during a with block."""
    stopping = False

    async def repeat(step: Callable[[], Awaitable[object]]) -> None:
        while not stopping:
            await step()
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(repeat(step)) for step in steps]
    try:
        yield
        stopping = True
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def in_flight(shop: Shop) -> set[str]:
    """Return what the shop waits for."""
    with pytest.raises(NotQuiet) as caught:
        await wait_for_quiet(target_of(shop), timeout_seconds=0)
    assert all(what in str(caught.value) for what in caught.value.left)
    return set(caught.value.left)


@pytest.mark.full
async def test_a_busy_shop_raises_no_false_alarm(shop: Shop) -> None:
    """Customers order, cancel and go away while all workers work and the checker looks, again and again."""
    await stock(shop, **dict.fromkeys(SKUS, 400))
    chance = random.Random(7)
    placed = Counter[str]()

    async def customer() -> None:
        command = place(uuid4(), **{sku: chance.randint(1, 3) for sku in chance.sample(SKUS, 2)})
        try:
            if chance.random() < 0.2:
                placed["went away"] += await is_cancelled_at(chance.randint(2, 40), shop.orders.place_order(command))
                return
            order = await shop.orders.place_order(command)
            if chance.random() < 0.3:
                await shop.orders.cancel_order(CancelOrder(request_id(), command.customer_id, order.order_id))
            placed[order.state.value] += 1
        except ServiceError as error:
            placed[error.reason] += 1

    async def hurry() -> None:
        await execute(shop, "order", "UPDATE sagas SET due_time = now()")
        await execute(shop, "inventory", "UPDATE reservations SET expire_time = now() WHERE state = 'PENDING'")

    (server,) = shop.parts.servers
    workers = (server.relay.step, server.consumer.step, server.saga_worker.step, shop.sweeper.step)
    async with working(customer, customer, hurry, *workers, shop.notification.consume[0], shop.notification.send):
        results = [await verify(target_of(shop, quiet=False)) for _ in range(ROUNDS)]
    assert [result.sentences() for result in results] == [[]] * ROUNDS
    assert results[-1].checks[4].counted > ROUNDS
    assert placed["CONFIRMED"] > 0
    await shop.settle()
    await shop.catch_up()
    assert (await verify(target_of(shop))).sentences() == []


async def execute(shop: Shop, database: str, statement: str) -> None:
    """Run one statement."""
    async with shop.databases[database].transaction("test") as transaction:
        await transaction.execute("UPDATE", statement)


async def test_an_order_is_in_flight_until_its_customer_is_notified(shop: Shop) -> None:
    """One place after the other, from the order to its confirmation."""
    await stock(shop, A=50)
    cut_off = [await is_cancelled_at(wait, shop.orders.place_order(place(A=1))) for wait in range(10, 26)]
    assert any(cut_off)
    assert await in_flight(shop) >= {"orders on their way", "events to publish"}
    assert not (await verify(target_of(shop))).holds
    assert (await verify(target_of(shop, quiet=False))).sentences() == []
    await shop.settle()
    assert await in_flight(shop) == {"events to publish"}
    while await shop.parts.servers[0].relay.step() == 0.0:
        pass
    assert await in_flight(shop) == {"events to consume by order_summaries", "events to consume by notification"}
    await shop.parts.servers[0].consumer.step()
    await shop.parts.servers[0].consumer.step()
    await shop.notification.consume[0]()
    await shop.notification.consume[0]()
    assert await in_flight(shop) == {"confirmations to send"}
    await shop.catch_up()
    await wait_for_quiet(target_of(shop), timeout_seconds=0)


async def test_a_reservation_that_holds_stock_is_in_flight(shop: Shop) -> None:
    """Until it is released."""
    await stock(shop, A=5)
    command = reserve(A=1)
    await shop.inventory.reserve_stock(command)
    assert await in_flight(shop) == {"reservations that hold stock"}
    await shop.inventory.release_reservation(ReleaseReservation(request_id(), command.reservation_id))
    await wait_for_quiet(target_of(shop), timeout_seconds=0)


async def test_a_dead_letter_is_not_waited_for(shop: Shop) -> None:
    """No waiting takes it away; one of a rebuild that was given up is nobody's."""
    park = """
        INSERT INTO dead_letters (consumer, event_id, type, aggregate_id, aggregate_version, occur_time, traceparent,
            data, reason)
        VALUES ('{}', gen_random_uuid(), 'order.placed', gen_random_uuid(), 1, now(), '', '', 'EVENT_NOT_UNDERSTOOD')"""
    await tamper(shop.dsns["order_read"], park.format("order_summaries.rebuild"))
    await wait_for_quiet(target_of(shop), timeout_seconds=0)
    await tamper(shop.dsns["order_read"], park.format("order_summaries"))
    with pytest.raises(NotQuiet, match="1 dead letters"):
        await wait_for_quiet(target_of(shop), timeout_seconds=600)


async def test_a_database_that_does_not_answer_is_not_quiet(shop: Shop) -> None:
    """It may be on its way up, so it is waited for as long as one waits."""
    target = target_of(shop)
    connection = await asyncpg.connect(shop.dsns["order"])
    port = await connection.fetchval("SHOW port")
    await connection.close()
    away = {name: dsn.replace(f":{port}/", ":1/") for name, dsn in shop.dsns.items()}
    with pytest.raises(NotQuiet, match="cannot be asked"):
        await wait_for_quiet(type(target)(databases=away, event_log_url=away["event_log"]), timeout_seconds=0)

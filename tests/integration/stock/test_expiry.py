"""Expiry of a reservation during other commands on it: it leaves PENDING once."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.inventory.adapters.postgres import PostgresStock
from services.inventory.api import (
    ConfirmReservation,
    ReleaseReservation,
    ReservationExpired,
    ReservationState,
    ReservationVoided,
)
from services.inventory.bootstrap import bootstrap_inventory
from services.inventory.workers.self_check import SelfCheck
from services.inventory.workers.sweeper import BATCH_SIZE, Sweeper
from services.kernel.errors import ServiceError
from tests.contract.shop import Shop, available, holding, request_id, reserve, stock
from tests.patience import PATIENCE_SECONDS
from tests.soundness import stock_violations

Result = TypeVar("Result")

ITEM = "SELECT FROM items WHERE sku = 'A' FOR UPDATE"
EXPIRE_ALL = "UPDATE reservations SET expire_time = now() WHERE state = 'PENDING'"


async def ask(shop: Shop, select: str, *arguments: object) -> Any:
    """Return one value of inventory's database."""
    connection = await asyncpg.connect(shop.inventory_dsn)
    try:
        return await connection.fetchval(select, *arguments)
    finally:
        await connection.close()


async def state_of(shop: Shop, reservation_id: UUID) -> str:
    """Return where a reservation is."""
    found: str = await ask(shop, "SELECT state FROM reservations WHERE reservation_id = $1", reservation_id)
    return found


def another_sweeper(shop: Shop) -> Sweeper:
    """Return the sweeper of another replica."""
    telemetry = shop.runtime.for_context("inventory")
    return bootstrap_inventory(
        database=shop.databases["inventory"], telemetry=telemetry, reservation_ttl_seconds=60
    ).sweeper


def expired_count(shop: Shop) -> float:
    """Return how many reservations this process's sweepers have expired, by their own count."""
    labels = {"context": "inventory"}
    return shop.runtime.metrics.registry.get_sample_value("shop_reservations_expired_total", labels) or 0.0


@asynccontextmanager
async def waiting(shop: Shop, call: Coroutine[Any, Any, Result]) -> AsyncIterator["asyncio.Task[Result]"]:
    """Run a call until PostgreSQL says that it waits for a lock, then the block beside it."""
    before = await waiters(shop)
    task = asyncio.create_task(call)
    async with asyncio.timeout(PATIENCE_SECONDS):
        # A database says nothing by itself: it must be asked.
        while await waiters(shop) == before:
            await asyncio.sleep(0.005)
    yield task


async def waiters(shop: Shop) -> int:
    """Return how many sessions wait for a lock."""
    count: int = await ask(
        shop,
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    )
    return count


async def test_concurrent_sweeps_return_expired_stock_once(shop: Shop) -> None:
    """More reservations than one step takes, four sweepers at once."""
    count = BATCH_SIZE + 20
    await stock(shop, A=count, B=count)
    for _ in range(count):
        await shop.inventory.reserve_stock(reserve(A=1, B=1))
    await ask(shop, EXPIRE_ALL)
    sweepers = [shop.sweeper, *(another_sweeper(shop) for _ in range(3))]
    assert set(await asyncio.gather(*(sweeper.step() for sweeper in sweepers))) == {0.0}
    while 0.0 in await asyncio.gather(*(sweeper.step() for sweeper in sweepers)):
        pass
    assert (await available(shop, "A"), await available(shop, "B")) == (count, count)
    assert expired_count(shop) == count
    assert await stock_violations(shop.inventory_dsn) == []


async def test_unexpired_reservations_stay_and_make_no_span(shop: Shop) -> None:
    """The sweeper looks, and leaves no trace of it."""
    await stock(shop, A=5)
    await shop.inventory.reserve_stock(reserve(A=2))
    assert await shop.sweeper.step() > 0
    assert await available(shop, "A") == 3
    assert shop.finished("inventory.sweep") == []
    assert shop.runtime.metrics.registry.get_sample_value("shop_reservations_pending", {"context": "inventory"}) == 1


async def test_a_sale_under_way_when_the_time_ends_is_a_sale(shop: Shop) -> None:
    """The sweeper neither waits for it nor expires it."""
    await stock(shop, A=5)
    command = reserve(A=2)
    await shop.inventory.reserve_stock(command)
    soon = "UPDATE reservations SET expire_time = clock_timestamp() + interval '0.5 seconds'"
    await ask(shop, soon)
    async with holding(shop.inventory_dsn, ITEM):
        confirm = ConfirmReservation(request_id(), command.reservation_id)
        async with waiting(shop, shop.inventory.confirm_reservation(confirm)) as confirming:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await ask(shop, "SELECT expire_time <= clock_timestamp() FROM reservations"):
                    await asyncio.sleep(0.01)
            await shop.sweeper.step()
            assert await state_of(shop, command.reservation_id) == "PENDING"
    assert (await confirming).state is ReservationState.CONFIRMED
    await shop.sweeper.step()
    assert (await available(shop, "A"), expired_count(shop)) == (3, 0)
    assert await stock_violations(shop.inventory_dsn) == []


async def test_a_sale_during_the_expiry_of_its_reservation_is_refused(shop: Shop) -> None:
    """It waits for the sweeper, and finds the reservation EXPIRED."""
    await stock(shop, A=5)
    command = reserve(A=2)
    await shop.inventory.reserve_stock(command)
    await ask(shop, EXPIRE_ALL)

    async with holding(shop.inventory_dsn, ITEM), waiting(shop, shop.sweeper.step()) as sweeping:
        confirm = ConfirmReservation(request_id(), command.reservation_id)
        async with waiting(shop, shop.inventory.confirm_reservation(confirm)) as confirming:
            pass
    await sweeping
    with pytest.raises(ReservationExpired):
        await confirming
    assert (await available(shop, "A"), expired_count(shop)) == (5, 1)
    assert await stock_violations(shop.inventory_dsn) == []


async def test_a_concurrent_release_and_sweep_return_stock_once(shop: Shop) -> None:
    """Twenty times, each on a reservation of its own."""
    await stock(shop, A=5)
    for _ in range(20):
        command = reserve(A=5)
        await shop.inventory.reserve_stock(command)
        await ask(shop, EXPIRE_ALL)
        release = ReleaseReservation(request_id(), command.reservation_id)
        await asyncio.gather(shop.inventory.release_reservation(release), shop.sweeper.step())
        assert await state_of(shop, command.reservation_id) in {"RELEASED", "EXPIRED"}
        assert await available(shop, "A") == 5
    assert await stock_violations(shop.inventory_dsn) == []


async def test_a_release_that_overtakes_a_reservation_voids_it(shop: Shop) -> None:
    """The reservation is decided on and not yet stored when the tombstone is."""
    await stock(shop, A=5)
    command = reserve(A=2)
    async with holding(shop.inventory_dsn, ITEM), waiting(shop, shop.inventory.reserve_stock(command)) as reserving:
        voided = await shop.inventory.release_reservation(ReleaseReservation(request_id(), command.reservation_id))
    assert voided.state is ReservationState.VOIDED
    with pytest.raises(ReservationVoided):
        await reserving
    assert await available(shop, "A") == 5
    assert await stock_violations(shop.inventory_dsn) == []


async def test_a_release_waits_for_an_uncommitted_reservation(shop: Shop) -> None:
    """It finds no reservation, and its tombstone meets one: the reservation is released."""
    await stock(shop, A=5)
    command = reserve(A=2)
    release = ReleaseReservation(request_id(), command.reservation_id)
    async with (
        holding(shop.inventory_dsn, "LOCK TABLE reservation_lines IN SHARE MODE"),
        waiting(shop, shop.inventory.reserve_stock(command)) as reserving,
        waiting(shop, shop.inventory.release_reservation(release)) as releasing,
    ):
        pass
    assert (await reserving).state is ReservationState.PENDING
    assert (await releasing).state is ReservationState.RELEASED
    assert await available(shop, "A") == 5
    assert await stock_violations(shop.inventory_dsn) == []


async def test_an_expiry_that_fails_holds_up_no_other(shop: Shop) -> None:
    """One reservation's item was tampered with; the next expired one is released, and the gauge shows the violation."""
    await stock(shop, A=5, B=5)
    broken, sound = reserve(A=2), reserve(B=2)
    await shop.inventory.reserve_stock(broken)
    await shop.inventory.reserve_stock(sound)
    await ask(shop, EXPIRE_ALL)
    await ask(shop, "UPDATE items SET reserved = 0 WHERE sku = 'A'")
    for _ in range(2):
        await shop.sweeper.step()
    assert await state_of(shop, broken.reservation_id) == "PENDING"
    assert await state_of(shop, sound.reservation_id) == "EXPIRED"
    telemetry = shop.runtime.for_context("inventory")
    stored = PostgresStock(database=shop.databases["inventory"], reservation_ttl_seconds=60)
    await SelfCheck(stock=stored, telemetry=telemetry).step()
    assert shop.runtime.metrics.registry.get_sample_value("shop_invariant_violations", {"context": "inventory"}) == 1


async def test_deliveries_sales_and_expiries_at_once_add_up(shop: Shop) -> None:
    """A hundred reservations, half of them sold, while a sweeper expires all that it finds and goods arrive."""
    await stock(shop, A=1_000, B=1_000)
    stopping = asyncio.Event()

    async def sweep() -> None:
        while not stopping.is_set():
            await ask(shop, EXPIRE_ALL)
            await shop.sweeper.step()

    async def buy(number: int) -> str:
        command = reserve(uuid4(), A=1 + number % 3, B=2)
        await shop.inventory.reserve_stock(command)
        if number % 10 == 0:
            await stock(shop, A=1)
        if number % 2:
            return "left"
        try:
            await shop.inventory.confirm_reservation(ConfirmReservation(request_id(), command.reservation_id))
        except ServiceError as error:
            return error.reason
        return "sold"

    async def shopper(first: int) -> set[str]:
        return {await buy(number) for number in range(first, 100, 3)}

    sweeping = asyncio.create_task(sweep())
    outcomes = set().union(*await asyncio.gather(*(shopper(first) for first in range(3))))
    stopping.set()
    await sweeping
    await ask(shop, EXPIRE_ALL)
    await shop.sweeper.step()
    assert outcomes <= {"left", "sold", "RESERVATION_EXPIRED"}
    assert await ask(shop, "SELECT count(*) FROM reservations WHERE state = 'PENDING'") == 0
    assert await stock_violations(shop.inventory_dsn) == []

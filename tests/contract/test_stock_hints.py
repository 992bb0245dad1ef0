"""The contract of stock hints: with a cache, without one, and while it is killed."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import asyncpg
import pytest

from services.edge.server import edge_server
from services.inventory.api import (
    MAX_HINTS,
    ConfirmReservation,
    GetStockHints,
    ReleaseReservation,
    SkuNotFound,
    StockHint,
)
from services.kernel.errors import InvalidField
from services.local.servers.valkey import EmbeddedValkey
from tests.contract.shop import LOOPBACK, Mode, Shop, open_shop, request_id, reserve, stock
from tests.full import in_full
from tests.postgres import PostgresServer

READ = "SELECT stock_ledger"


@pytest.fixture(params=["grpc", *in_full("in_process")])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Return the mode of calling."""
    found: Mode = request.param
    return found


@pytest.fixture
async def cached_shop(
    mode: Mode, postgres_server: PostgresServer, clean_databases: None, valkey_server: EmbeddedValkey
) -> AsyncIterator[Shop]:
    """Start a shop on empty databases, with an empty cache."""
    async with open_shop(mode, postgres_server.dsns, cache_url=valkey_server.url) as opened:
        yield opened


async def hints(shop: Shop, *skus: str) -> tuple[StockHint, ...]:
    """Ask for hints."""
    return await shop.inventory.get_stock_hints(GetStockHints(skus))


async def sell(shop: Shop, **quantities: int) -> None:
    """Sell some units."""
    reservation = await shop.inventory.reserve_stock(reserve(None, **quantities))
    await shop.inventory.confirm_reservation(ConfirmReservation(request_id(), reservation.reservation_id))


async def test_a_hint_says_what_is_left_and_what_was_sold(shop: Shop) -> None:
    """One a SKU, in the order of the query; of two sales, both."""
    await stock(shop, A=9, B=5)
    await sell(shop, A=2)
    await sell(shop, A=1, B=5)
    assert await hints(shop, "B", "A") == (StockHint("B", 0, 5), StockHint("A", 6, 3))


async def test_reserved_units_are_neither_left_nor_sold(shop: Shop) -> None:
    await stock(shop, A=9)
    reservation = await shop.inventory.reserve_stock(reserve(A=2))
    assert await hints(shop, "A") == (StockHint("A", 7, 0),)
    await shop.inventory.release_reservation(ReleaseReservation(request_id(), reservation.reservation_id))
    assert await hints(shop, "A") == (StockHint("A", 9, 0),)


async def test_sales_before_the_last_hour_do_not_count(shop: Shop) -> None:
    await stock(shop, A=9)
    await sell(shop, A=2)
    connection = await asyncpg.connect(shop.inventory_dsn)
    try:
        await connection.execute("UPDATE stock_ledger SET create_time = create_time - interval '61 minutes'")
    finally:
        await connection.close()
    await sell(shop, A=1)
    assert await hints(shop, "A") == (StockHint("A", 6, 1),)


async def test_unknown_skus_are_all_named(shop: Shop) -> None:
    await stock(shop, A=1)
    with pytest.raises(SkuNotFound) as caught:
        await hints(shop, "X", "A", "Y")
    assert caught.value == SkuNotFound(("X", "Y"))


async def test_there_are_at_most_a_hundred_at_once(shop: Shop) -> None:
    with pytest.raises(InvalidField, match=r".+"):
        await hints(shop, *(f"SKU-{number}" for number in range(MAX_HINTS + 1)))


async def test_without_a_cache_a_hint_is_as_of_now(shop: Shop) -> None:
    await stock(shop, A=9)
    await hints(shop, "A")
    await sell(shop, A=2)
    assert await hints(shop, "A") == (StockHint("A", 7, 2),)


async def test_with_a_cache_a_hint_is_as_of_a_moment_ago(cached_shop: Shop) -> None:
    """Repeated queries get the same hint: the database is read once."""
    await stock(cached_shop, A=9, B=1)
    await hints(cached_shop, "A", "B")
    await sell(cached_shop, A=2)
    for _ in range(3):
        assert await hints(cached_shop, "B", "A") == (StockHint("B", 1, 0), StockHint("A", 9, 0))
    assert len(cached_shop.finished(READ)) == 1


async def test_reservations_use_the_stock_and_not_the_hint(cached_shop: Shop) -> None:
    """Whatever the hint says."""
    await stock(cached_shop, A=2)
    await hints(cached_shop, "A")
    await sell(cached_shop, A=2)
    assert await hints(cached_shop, "A") == (StockHint("A", 2, 0),)
    await stock(cached_shop, A=3)
    await sell(cached_shop, A=3)


async def test_an_unknown_sku_is_known_soon_after_it_is_there(cached_shop: Shop) -> None:
    """That there is none is kept for a moment."""
    with pytest.raises(SkuNotFound):
        await hints(cached_shop, "A")
    await stock(cached_shop, A=9)
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(SkuNotFound):
                assert await hints(cached_shop, "A") == (StockHint("A", 9, 0),)
                return
            await asyncio.sleep(0.1)


async def test_concurrent_lookups_are_one_read_of_the_database(cached_shop: Shop) -> None:
    await stock(cached_shop, A=9)
    answers = await asyncio.gather(*(hints(cached_shop, "A") for _ in range(30)))
    assert answers == [(StockHint("A", 9, 0),)] * 30
    assert len(cached_shop.finished(READ)) == 1


async def test_a_cache_that_is_killed_costs_no_answer(cached_shop: Shop, valkey_server: EmbeddedValkey) -> None:
    await stock(cached_shop, A=9)
    await hints(cached_shop, "A")
    valkey_server.process.end_wanted = True
    os.kill(valkey_server.process.pid, signal.SIGKILL)
    await sell(cached_shop, A=2)
    for _ in range(5):
        await valkey_server.process.exited()
        assert await hints(cached_shop, "A") == (StockHint("A", 7, 2),)


async def test_the_trace_shows_cache_and_database_calls(cached_shop: Shop) -> None:
    """The cache, how much of it was there, and the database for what was not; no key and no value."""
    await stock(cached_shop, A=9, B=9)
    await hints(cached_shop, "A")
    cached_shop.spans.clear()
    await hints(cached_shop, "A", "B")
    (asked,), (read,) = cached_shop.finished("MGET stock_hints"), cached_shop.finished(READ)
    attributes = dict(asked.attributes or {})
    assert attributes["db.system.name"] == "valkey"
    assert (attributes["db.operation.batch.size"], attributes["db.response.returned_rows"]) == (2, 1)
    assert (asked.context and asked.context.trace_id) == (read.context and read.context.trace_id)
    parents = {span.name for span in cached_shop.spans.get_finished_spans()}
    assert {"stock_hints cache", "SET stock_hints", "inventory.get_stock_hints"} <= parents
    assert not any("'A'" in str(span.attributes) for span in cached_shop.spans.get_finished_spans())


@asynccontextmanager
async def edge_of(shop: Shop) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve the edge during a with block; yield a client without a customer id."""
    server = edge_server(
        orders=shop.orders,
        inventory=shop.inventory,
        admission=None,
        runtime=shop.runtime,
        listen=LOOPBACK,
        request_deadline_seconds=10.0,
    )
    target = (await server.start())["http"]
    try:
        async with aiohttp.ClientSession(f"http://{target}") as session:
            yield session
    finally:
        await server.stop(grace_seconds=1)


async def test_anybody_may_look(shop: Shop) -> None:
    """No customer need say who they are."""
    await stock(shop, A=9, B=5)
    async with edge_of(shop) as session, session.get("/stock-hints?sku=B&sku=A") as answer:
        assert answer.status == 200
        assert await answer.json() == {
            "hints": [
                {"sku": "B", "available": 5, "sold_last_hour": 0},
                {"sku": "A", "available": 9, "sold_last_hour": 0},
            ]
        }


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("sku=A&sku=X", 404, "SKU_NOT_FOUND"),
        ("sku=A&sku=A", 400, "DUPLICATE_SKU"),
        ("sku=a", 400, "INVALID_SKU"),
        ("", 400, "INVALID_SKU"),
        ("&".join(f"sku=S{number}" for number in range(MAX_HINTS + 1)), 400, "INVALID_SKU"),
    ],
)
async def test_an_unanswerable_request_is_a_problem(shop: Shop, query: str, status: int, reason: str) -> None:
    await stock(shop, A=9)
    async with edge_of(shop) as session, session.get(f"/stock-hints?{query}") as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["reason"]) == (status, reason)

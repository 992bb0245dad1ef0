"""A whole shop in this process, on empty databases; its workers' steps are taken by hand."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from services.order.api import CancelOrder, OutOfStock
from services.order.consumers.order_summaries import CONSUMER
from tests.contract.shop import Shop, open_shop, place, request_id, stock
from tests.endpoints import write_endpoints
from tests.integration.read_model.commanding import Platform
from tests.postgres import PostgresServer

# What a rebuild that was cut off leaves for the next one.
LEFT_OVER = "DROP TABLE IF EXISTS order_summaries_rebuild"


@pytest.fixture
async def clean_read_model(postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[None]:
    """Empty databases, without a rebuild in the middle before and after the test."""
    yield
    connection = await asyncpg.connect(postgres_server.dsns["order_read"])
    try:
        await connection.execute(LEFT_OVER)
    finally:
        await connection.close()


@pytest.fixture
async def shop(postgres_server: PostgresServer, clean_read_model: None) -> AsyncIterator[Shop]:
    """Open a shop in this process."""
    async with open_shop("in_process", postgres_server.dsns) as opened:
        yield opened


@pytest.fixture
def platform(postgres_server: PostgresServer, clean_read_model: None, tmp_path: Path) -> Platform:
    """Return a platform with empty databases, for commands."""
    return Platform(postgres_server.dsns, write_endpoints(postgres_server.dsns, tmp_path))


async def sell(shop: Shop, customer_id: UUID | None = None) -> UUID:
    """Sell one order: two events."""
    await stock(shop, A=1)
    return (await shop.orders.place_order(place(customer_id, A=1))).order_id


async def sell_and_cancel(shop: Shop) -> UUID:
    """Sell one order and take it back: four events."""
    await stock(shop, A=2, B=1)
    order = await shop.orders.place_order(place(A=2, B=1))
    await shop.orders.cancel_order(CancelOrder(request_id(), order.customer_id, order.order_id))
    return order.order_id


async def refuse(shop: Shop) -> None:
    """Refuse one order: two events."""
    await stock(shop, C=1)
    with contextlib.suppress(OutOfStock):
        await shop.orders.place_order(place(C=2))


async def publish(shop: Shop) -> None:
    """Bring every event into the log."""
    while await shop.parts.servers[0].relay.step() == 0.0:
        pass


async def follow(shop: Shop, *poison: type[Exception]) -> None:
    """Publish, and let the list follow, also beside a rebuild; what it cannot take it tries until that is parked."""
    await publish(shop)
    select = "SELECT incarnation, position FROM consumer_cursors WHERE consumer = $1"
    state = await shop.log.state()
    while [tuple(row) for row in await shop.databases["order_read"].fetch("SELECT", select, CONSUMER)] != [
        (state.incarnation, state.head)
    ]:
        with contextlib.suppress(*poison):
            await shop.parts.servers[0].consumer.step()


async def live(shop: Shop) -> None:
    """Let three orders come to different ends, of eight events together, and the list follow."""
    await sell(shop)
    await sell_and_cancel(shop)
    await refuse(shop)
    await follow(shop)

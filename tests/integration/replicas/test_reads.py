"""Reads with a consistency token are never stale, whatever the lag; reads without may be."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from services.infra import deadline
from services.infra.fallback_budget import BURST
from services.inventory.api import GetStockHints
from services.kernel.errors import InvalidField
from services.order.adapters.page_token import encode_page_token
from services.order.api import GetOrder, ListOrders, Order, OrderNotFound, OrderPage, OrderState, ReadModelBehind
from tests.full import in_full
from tests.integration.replicas.conftest import (
    ReplicatedShop,
    Servers,
    delay,
    execute,
    started,
    wait_until_replayed,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """Start servers for all tests here, which only delay replicas."""
    async with started(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


def with_token(order: Order) -> GetOrder:
    """Return the query for this order, not older than it is."""
    return GetOrder(order.customer_id, order.order_id, order.consistency_token)


@pytest.mark.parametrize("milliseconds", [0, 50, *in_full(500, 5_000)])
async def test_a_read_with_its_token_is_never_stale(shop: ReplicatedShop, servers: Servers, milliseconds: int) -> None:
    for replica in servers.replicas:
        await delay(replica, milliseconds)
    for _ in range(20):
        order = await shop.place()
        found = await shop.orders.application.get_order(with_token(order))
        assert found.version >= order.version
        assert found.state is OrderState.CONFIRMED
    assert shop.count("shop_replica_reads", target="rejected") == 0
    assert shop.count("shop_replica_reads", target="replica") + shop.count("shop_replica_reads", target="primary") == 20


async def test_a_list_with_its_token_is_never_stale(shop: ReplicatedShop, servers: Servers) -> None:
    for replica in servers.replicas:
        await delay(replica, 50)
    for _ in range(10):
        order = await shop.place()
        await shop.project()
        query = ListOrders(order.customer_id, consistency_token=order.consistency_token)
        page = await shop.orders.application.list_orders(query)
        assert [(summary.order_id, summary.state) for summary in page.orders] == [(order.order_id, order.state)]


async def test_an_empty_page_of_a_recent_list_is_answered_by_a_replica(shop: ReplicatedShop, servers: Servers) -> None:
    order = await shop.place()
    customer_id = order.customer_id
    await shop.project()
    await wait_until_replayed(servers, *servers.replicas)
    after_the_last = encode_page_token(order.create_time, order.order_id, customer_id)
    query = ListOrders(customer_id, page_token=after_the_last, consistency_token=order.consistency_token)
    assert await shop.orders.application.list_orders(query) == OrderPage((), "")
    assert shop.count("shop_replica_reads", "order_read", target="primary") == 0


async def test_a_read_without_a_token_may_be_stale(shop: ReplicatedShop, servers: Servers) -> None:
    order = await shop.place()
    await wait_until_replayed(servers, *servers.replicas)
    for replica in servers.replicas:
        await execute(replica.admin_dsn, "SELECT pg_wal_replay_pause()")
    await execute(
        servers.on(servers.primary, "order"),
        f"UPDATE orders SET version = version + 1 WHERE order_id = '{order.order_id}'",
    )
    found = await shop.orders.application.get_order(GetOrder(order.customer_id, order.order_id))
    assert found.version == order.version
    select = "SELECT version FROM orders WHERE order_id = $1"
    assert (await shop.database.fetch("SELECT orders", select, order.order_id))[0]["version"] == order.version + 1


async def test_an_order_that_a_replica_lacks_is_read_on_the_primary(shop: ReplicatedShop, servers: Servers) -> None:
    for replica in servers.replicas:
        await execute(replica.admin_dsn, "SELECT pg_wal_replay_pause()")
    order = await shop.place()
    assert (await shop.orders.application.get_order(GetOrder(order.customer_id, order.order_id))).version
    assert shop.count("shop_replica_fallbacks", reason="missing") == 1
    with pytest.raises(OrderNotFound):
        await shop.orders.application.get_order(GetOrder(order.customer_id, uuid4()))


async def test_a_change_that_comes_in_time_is_waited_for(shop: ReplicatedShop, servers: Servers) -> None:
    """The replica gets the change while the read waits, so the primary is not read."""
    for replica in servers.replicas:
        await execute(replica.admin_dsn, "SELECT pg_wal_replay_pause()")
    order = await shop.place()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.infra.replicas.MOST_WAIT_SECONDS", 60.0)
        patch.setattr("services.infra.replicas.WAIT_SHARE", 1.0)
        with deadline.within(120):
            reading = asyncio.create_task(shop.orders.application.get_order(with_token(order)))
            await asyncio.sleep(0)
            for replica in servers.replicas:
                await execute(replica.admin_dsn, "SELECT pg_wal_replay_resume()")
            assert (await reading).version >= order.version
    assert shop.count("shop_replica_reads", target="replica") == 1


@pytest.mark.parametrize("reserve_per_second", [0.0])
async def test_the_primary_is_spared_once_the_budget_is_spent(
    shop: ReplicatedShop, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.infra.replicas.MOST_WAIT_SECONDS", 0.0)
    for replica in servers.replicas:
        await execute(replica.admin_dsn, "SELECT pg_wal_replay_pause()")
    order, outcomes = await shop.place(), []
    for _ in range(int(BURST) + 5):
        try:
            outcomes.append((await shop.orders.application.get_order(with_token(order))).version)
        except ReadModelBehind:
            outcomes.append(0)
    assert outcomes == [order.version] * int(BURST) + [0] * 5
    assert shop.count("shop_replica_reads", target="rejected") == 5
    assert shop.count("shop_replica_fallbacks", reason="behind") == BURST


async def test_the_token_of_another_order_is_rejected(shop: ReplicatedShop) -> None:
    order = await shop.place()
    with pytest.raises(InvalidField) as caught:
        await shop.orders.application.get_order(GetOrder(order.customer_id, uuid4(), order.consistency_token))
    assert (caught.value.field, caught.value.reason) == ("consistency_token", "INVALID_CONSISTENCY_TOKEN")


async def test_hints_come_from_a_replica_and_stock_from_the_primary(shop: ReplicatedShop, servers: Servers) -> None:
    for replica in servers.replicas:
        await execute(replica.admin_dsn, "SELECT pg_wal_replay_pause()")
    before = await shop.inventory.application.get_stock_hints(GetStockHints(("A",)))
    order = await shop.place()
    after = await shop.inventory.application.get_stock_hints(GetStockHints(("A",)))
    assert [hint.available for hint in after] == [hint.available for hint in before]
    assert shop.count("shop_replica_reads", "inventory", target="replica") == 2
    assert order.state is OrderState.CONFIRMED

"""Orders on two servers: each customer's are on one, and lists, events, sagas and rebuilds see both."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from observability.telemetry.telemetry import unobserved
from services.infra.postgres import Database
from services.infra.settings import BadSettings
from services.kernel.errors import Unavailable
from services.local.platform.plan import order_databases
from services.order.adapters.shard_maps import PostgresShardMaps, check_servers
from services.order.api import CancelOrder, GetOrder, ListOrders, OrderState
from services.order.domain.logical_shard import logical_shard_in
from services.order.domain.shard_map import ALL_ON_FIRST, spread
from services.order.migrate import store_first_map
from services.order.workers.rebuild import Rebuild
from tests.contract.shop import Shop, open_shop, place, request_id, stock
from tests.postgres import PostgresServer, empty
from tests.soundness import violations

MAP = spread(2, epoch=1)


@pytest.fixture
async def shop(postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Shop]:
    """Open a shop in this process with two servers of orders."""
    for dsn in postgres_server.shard_dsns.values():
        await empty(dsn)
    async with open_shop("sharded", {**postgres_server.dsns, **postgres_server.shard_dsns}) as opened:
        await stock(opened, A=1_000)
        yield opened


@pytest.fixture
async def first_server(postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Database]:
    """Return the order database of the first server, empty."""
    database = await Database.open(postgres_server.dsns["order"], pool_size=1, telemetry=unobserved("order"))
    yield database
    await database.close(timeout_seconds=5)


def customer_on(server: int) -> UUID:
    """Return a new customer whose orders are on a server."""
    while MAP.server_of(customer_id := uuid4()) != server:
        pass
    return customer_id


async def stored(shop: Shop) -> dict[str, set[UUID]]:
    """Return the orders in each order database."""
    found: dict[str, set[UUID]] = {}
    for name in order_databases(shop.dsns):
        rows = await shop.databases[name].fetch("SELECT", "SELECT order_id FROM orders")
        found[name] = {row["order_id"] for row in rows}
    return found


async def sell(shop: Shop, server: int) -> UUID:
    """Sell to a new customer of a server; return the order's id."""
    order = await shop.orders.place_order(place(customer_on(server), A=1))
    assert order.state is OrderState.CONFIRMED
    return order.order_id


async def test_an_order_is_on_the_server_of_its_customer(shop: Shop) -> None:
    """And its id leads there, too."""
    sold = {name: {await sell(shop, server)} for server, name in enumerate(order_databases(shop.dsns))}
    assert await stored(shop) == sold
    for server, ids in enumerate(sold.values()):
        for order_id in ids:
            shard = logical_shard_in(order_id)
            assert shard is not None
            assert MAP.servers[shard] == server


async def test_repeats_at_the_same_time_make_one_order(shop: Shop) -> None:
    """The request id is stored on the server of the customer."""
    command = place(customer_on(1), A=1)
    orders = await asyncio.gather(*(shop.orders.place_order(command) for _ in range(4)))
    (order_id,) = {order.order_id for order in orders}
    assert await stored(shop) == {"order": set(), "order_1": {order_id}}
    assert await violations(shop) == []


async def test_the_list_shows_orders_of_both_servers(shop: Shop) -> None:
    """Each customer's own, from the one read model."""
    commands = [place(customer_on(server), A=1) for server in (0, 1)]
    orders = [await shop.orders.place_order(command) for command in commands]
    await shop.catch_up()
    for command, order in zip(commands, orders, strict=True):
        page = await shop.orders.list_orders(ListOrders(command.customer_id, consistency_token=order.consistency_token))
        assert [each.order_id for each in page.orders] == [order.order_id]


async def test_customers_of_one_server_are_served_while_the_other_is_away(shop: Shop) -> None:
    """The other ones are told that it is unavailable."""
    theirs = place(customer_on(1), A=1)
    order_id = (await shop.orders.place_order(theirs)).order_id
    await shop.databases["order_1"].close(timeout_seconds=1)
    await sell(shop, 0)
    with pytest.raises(Unavailable):
        await shop.orders.get_order(GetOrder(theirs.customer_id, order_id))


async def test_a_rebuild_reads_the_logs_of_both_servers(shop: Shop) -> None:
    """In batches of one, and the consumers go on where it ended."""
    for server in (0, 1, 1):
        await sell(shop, server)
    cancelled = place(customer_on(1), A=1)
    order = await shop.orders.place_order(cancelled)
    await shop.orders.cancel_order(CancelOrder(request_id(), cancelled.customer_id, order.order_id))
    await shop.catch_up()
    read_database = shop.databases["order_read"]
    async with read_database.transaction("test") as transaction:
        await transaction.execute("DELETE", "DELETE FROM order_summaries")
    reached: list[tuple[int, int]] = []
    rebuild = Rebuild(
        database=read_database, logs=shop.logs, batch_size=1, progress=lambda *position: reached.append(position)
    )
    rebuilt = await rebuild.run()
    assert (rebuilt.events_read, rebuilt.swap.rows_after, reached[-1]) == (10, 4, (10, 10))
    await sell(shop, 1)
    assert await violations(shop) == []


async def test_the_invariants_see_an_order_on_both_servers(shop: Shop) -> None:
    """As if it had been moved and not deleted."""
    await sell(shop, 1)
    assert await violations(shop) == []
    await copy_orders(shop.dsns)
    assert any("order" in sentence for sentence in await violations(shop))


async def copy_orders(dsns: Mapping[str, str]) -> None:
    """Copy the rows of orders from the second server to the first."""
    source, target = await asyncpg.connect(dsns["order_1"]), await asyncpg.connect(dsns["order"])
    try:
        rows = await source.fetch("SELECT * FROM orders")
        await target.copy_records_to_table("orders", records=[tuple(row) for row in rows])
    finally:
        await source.close()
        await target.close()


async def test_the_map_is_spread_over_the_servers_of_an_empty_shop(
    postgres_server: PostgresServer, first_server: Database
) -> None:
    """Once: a third server gets nothing by itself."""
    home = PostgresShardMaps(database=first_server)
    assert await home.current() == ALL_ON_FIRST
    for servers in (2, 3):
        await store_first_map(postgres_server.dsns["order"], servers)
        assert await home.current() == MAP
    assert {len(MAP.shards_of(server)) for server in (0, 1)} == {128}


async def test_the_first_map_of_a_shop_with_orders_leaves_all_on_its_server(shop: Shop) -> None:
    """They would be looked for elsewhere."""
    await sell(shop, 0)
    async with shop.order_database.transaction("test") as transaction:
        await transaction.execute("DELETE", "DELETE FROM shard_map")
    home = PostgresShardMaps(database=shop.order_database)
    await store_first_map(shop.dsns["order"], 2)
    assert await home.current() == replace(ALL_ON_FIRST, epoch=1)


def test_a_map_that_names_a_server_without_an_address_is_refused() -> None:
    """The error names the setting."""
    check_servers(MAP, 2)
    with pytest.raises(BadSettings, match="ORDER_SHARD_DSNS: the shard map names server 1"):
        check_servers(MAP, 1)


def test_several_servers_without_a_map_are_refused() -> None:
    """Two processes would take different maps when the migration stores one between their starts."""
    check_servers(ALL_ON_FIRST, 1)
    with pytest.raises(BadSettings, match=r"ORDER_SHARD_DSNS: 2 order databases have no shard map yet: run .*migrate"):
        check_servers(ALL_ON_FIRST, 2)

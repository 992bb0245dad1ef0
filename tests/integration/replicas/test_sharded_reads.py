"""Tests of reads of sharded orders from read replicas, during and after moves of logical shards."""

from collections.abc import AsyncIterator
from functools import partial
from uuid import uuid4

import pytest
import pytest_asyncio

from services.infra import deadline
from services.kernel.errors import Unavailable
from services.order.adapters import sharded_orders
from services.order.adapters.event_store import EventStore
from services.order.adapters.postgres import PostgresOrders
from services.order.api import Order, OrderNotFound
from services.order.application.ports import OrderReader
from services.order.bootstrap import OrderServer, route
from services.order.domain.logical_shard import logical_shard_of
from services.order.domain.shard_map import ALL_ON_FIRST
from tests.integration.replicas.conftest import ReplicatedShop, Servers, execute, started, wait_until_replayed

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """Start servers for all tests here, which only pause the replay of replicas."""
    async with started(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture
def reader(shop: ReplicatedShop) -> OrderReader:
    """Return a reader over two servers of orders; all logical shards are on the first, which has replicas."""
    event_store = EventStore(sent=lambda _type: "", grace_seconds=60)
    server = OrderServer(database=shop.database, log=shop.log)
    open_orders = partial(PostgresOrders, event_store=event_store)
    _, reader = route([server, server], ALL_ON_FIRST, [shop.order_replicas, None], open_orders)
    return reader


async def fence(servers: Servers, order: Order, *, fenced: bool) -> None:
    """Set whether the server's fence says that the order's logical shard was moved away."""
    logical_shard = logical_shard_of(order.customer_id)
    statement = f"""
        INSERT INTO shard_fences (logical_shard, epoch, fenced) VALUES ({logical_shard}, 1, {fenced})
        ON CONFLICT (logical_shard) DO UPDATE SET fenced = excluded.fenced"""
    await execute(servers.dsns["order"], statement)


async def read(reader: OrderReader, order: Order) -> int:
    """Read an order with its token; return the version that was read."""
    with deadline.within(30):
        return (await reader.read(order.order_id, order.customer_id, version=order.version)).version


async def test_a_read_of_a_moved_order_does_not_trust_a_replica(
    shop: ReplicatedShop, servers: Servers, reader: OrderReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither that of the server that had it, nor that of a server that got it and whose replica is behind."""
    monkeypatch.setattr(sharded_orders, "MOST_WAIT_SECONDS", 0.1)
    order = await shop.place()
    await wait_until_replayed(servers, *servers.replicas)
    assert await read(reader, order) == order.version
    assert shop.count("shop_replica_reads", target="replica") == 1

    await fence(servers, order, fenced=True)
    await wait_until_replayed(servers, *servers.replicas)
    with pytest.raises(Unavailable):  # no newer map says where it is
        await read(reader, order)

    for replica in servers.replicas:
        await execute(replica.admin_dsn, "SELECT pg_wal_replay_pause()")
    await fence(servers, order, fenced=False)
    assert await read(reader, order) == order.version
    assert shop.count("shop_replica_reads", target="replica") == 1
    assert shop.count("shop_replica_reads", target="primary") == 2


async def test_an_order_that_does_not_exist_is_not_found(shop: ReplicatedShop, reader: OrderReader) -> None:
    with pytest.raises(OrderNotFound), deadline.within(30):
        await reader.read(uuid4(), uuid4(), version=0)

"""Metrics of logical shards: they show a move that was interrupted, and a logical shard that no server accepts."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.order.adapters.shard_move_register import MoveRegister
from services.order.adapters.shard_move_session import MoveSession
from services.order.bootstrap import OrderServer, shard_watch
from services.order.workers.shard_watch import ShardWatch
from tests.contract.shop import Shop, open_shop
from tests.postgres import PostgresServer, empty

# Logical shard 1 is on server 1.
MOVE = "INSERT INTO shard_moves (logical_shard, source, target, epoch) VALUES (1, 1, 0, 2)"
FENCE = "INSERT INTO shard_fences (logical_shard, epoch) VALUES (1, 2)"


@pytest.fixture
async def shop(postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Shop]:
    """Open a shop with two servers of orders and without running workers."""
    for dsn in postgres_server.shard_dsns.values():
        await empty(dsn)
    async with open_shop("sharded", {**postgres_server.dsns, **postgres_server.shard_dsns}) as opened:
        yield opened


@pytest.fixture
def watch(shop: Shop) -> ShardWatch:
    """Return the watch of the shop's servers."""
    servers = [
        OrderServer(database=shop.databases[name], log=log)
        for name, log in zip(("order", "order_1"), shop.logs, strict=True)
    ]
    return shard_watch(servers, shop.runtime.for_context("order"))


def age_seconds(shop: Shop, state: str) -> float:
    """Return the age of the move in a state."""
    labels = {"context": "order", "state": state}
    return shop.runtime.metrics.registry.get_sample_value("shop_shard_move_age_seconds", labels) or 0.0


def unavailable(shop: Shop) -> list[float]:
    """Return for each server the number of logical shards that it should accept but rejects."""
    read = shop.runtime.metrics.registry.get_sample_value
    found = [read("shop_logical_shards_unavailable", {"context": "order", "shard": shard}) for shard in ("0", "1")]
    return [value or 0.0 for value in found]


async def test_a_move_is_running_as_long_as_its_process_lives(shop: Shop, watch: ShardWatch) -> None:
    mover = await asyncpg.connect(shop.dsns["order"])
    try:
        assert await MoveRegister(MoveSession(mover)).lock()
        await mover.execute(MOVE)
        await watch.step()
        assert age_seconds(shop, "running") > 0
        assert age_seconds(shop, "interrupted") == 0
        await mover.execute("SELECT pg_advisory_unlock_all()")
        await watch.step()
        assert age_seconds(shop, "running") == 0
        assert age_seconds(shop, "interrupted") > 0
        await mover.execute("DELETE FROM shard_moves")
        await watch.step()
        assert age_seconds(shop, "interrupted") == 0
    finally:
        await mover.close()


async def test_a_logical_shard_is_unavailable_while_its_server_rejects_it(shop: Shop, watch: ShardWatch) -> None:
    """A fence on a server that does not have the logical shard by the map rejects none of its customers."""
    for name, found in (("order", [0, 0]), ("order_1", [0, 1])):
        connection = await asyncpg.connect(shop.dsns[name])
        await connection.execute(FENCE)
        await connection.close()
        await watch.step()
        assert unavailable(shop) == found

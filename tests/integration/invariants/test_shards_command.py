"""`plumb shards`: what it lists of two servers of orders, and what it finds misplaced."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from services.order.domain.logical_shard import logical_shard_of
from tests.contract.shop import open_shop, place, stock
from tests.endpoints import write_endpoints
from tests.integration.read_model.commanding import Platform
from tests.postgres import PostgresServer, empty

# Customers of logical shards 134 and 55, on servers 0 and 1 of two.
CUSTOMERS = (UUID("00000000-0000-4000-8000-000000000001"), UUID(int=0))


@pytest.fixture
def platform(postgres_server: PostgresServer, clean_databases: None, tmp_path: Path) -> Platform:
    """Return a platform with two servers of orders, with one order each."""
    dsns = {**postgres_server.dsns, **postgres_server.shard_dsns}

    async def sell() -> None:
        for dsn in postgres_server.shard_dsns.values():
            await empty(dsn)
        async with open_shop("sharded", dsns) as shop:
            await stock(shop, A=10)
            for customer_id in CUSTOMERS:
                await shop.orders.place_order(place(customer_id, A=1))

    asyncio.run(sell())
    return Platform(dsns, write_endpoints(dsns, tmp_path))


def test_each_server_is_listed_with_its_shards_and_orders(platform: Platform) -> None:
    """Half of the logical shards each, of which one is in use."""
    listed = json.loads(platform.plumb("shards", "list", "--json").stdout)
    counts = {"logical_shards": 128, "shards_in_use": 1, "orders": 1, "sagas": 0, "unpublished": 2}
    assert listed == {"epoch": 1, "servers": [{"server": server, **counts} for server in (0, 1)], "move": None}
    table = platform.plumb("shards", "list").stdout
    assert "shard map of epoch 1" in table


def test_orders_on_the_server_of_the_map_pass(platform: Platform) -> None:
    """Exit status 0."""
    verified = platform.plumb("shards", "verify")
    assert (verified.exit_code, "2 orders, 0 violations" in verified.stdout) == (0, True)


def test_rows_on_another_server_than_the_map_names_are_found(platform: Platform) -> None:
    """By table and logical shard."""

    async def turn_round() -> None:
        connection = await asyncpg.connect(platform.dsns["order"])
        try:
            insert = """
                INSERT INTO shard_map (epoch, servers) SELECT 2, array_agg(1 - server ORDER BY shard)
                FROM shard_map, unnest(servers) WITH ORDINALITY AS each (server, shard)"""
            await connection.execute(insert)
        finally:
            await connection.close()

    asyncio.run(turn_round())
    verified = platform.plumb("shards", "verify")
    assert verified.exit_code == 1
    for server, customer_id in enumerate(CUSTOMERS):
        expected = f"server {server} has rows in orders of a logical shard that is elsewhere: "
        assert f"{expected}logical_shard {logical_shard_of(customer_id)}, rows 1" in verified.stdout


def test_a_server_that_does_not_exist_is_refused(platform: Platform) -> None:
    """Servers are counted from 0."""
    refused = platform.plumb("shards", "move", "17", "2")
    assert (refused.exit_code, "there is no server 2" in refused.stderr) == (2, True)


def test_a_logical_shard_is_not_moved_to_its_own_server(platform: Platform) -> None:
    refused = platform.plumb("shards", "move", "17", "1")
    assert (refused.exit_code, "logical shard 17 is on server 1 already" in refused.stderr) == (1, True)


def test_a_server_that_cannot_publish_is_named_before_anything_is_done(platform: Platform) -> None:
    """The server of these tests has no logical WAL."""
    refused = platform.plumb("shards", "move", "17", "0")
    assert (refused.exit_code, "server 1 needs wal_level = logical" in refused.stderr) == (1, True)
    assert json.loads(platform.plumb("shards", "list", "--json").stdout)["move"] is None

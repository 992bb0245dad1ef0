"""Replicas that end, cancel reads, or lack a table; promotion, and the return of the former primary."""

import asyncio
import os
import signal

import asyncpg
import pytest

from services.infra import deadline
from services.infra.postgres import Database
from services.kernel.errors import ServiceError
from services.local.servers.postgres import EmbeddedPostgres
from services.local.servers.replicas import promote, rejoin
from services.order.api import GetOrder, Order, ReadModelBehind
from tests.integration.replicas.conftest import ReplicatedShop, Servers, execute, wait_until_replayed
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")


def with_token(order: Order) -> GetOrder:
    """Return the query for this order, not older than it is."""
    return GetOrder(order.customer_id, order.order_id, order.consistency_token)


async def read(shop: ReplicatedShop, order: Order) -> int:
    """Return the version that a read with the order's token gives."""
    return (await shop.orders.application.get_order(with_token(order))).version


async def kill(server: EmbeddedPostgres) -> None:
    """Kill a server; all its processes end."""
    await server.process.end_by(signal.SIGQUIT, limit_seconds=PATIENCE_SECONDS)


async def test_reads_go_on_while_replicas_end_one_by_one(shop: ReplicatedShop, servers: Servers) -> None:
    order = await shop.place()
    await wait_until_replayed(servers, *servers.replicas)
    for replica in servers.replicas:
        for _ in range(10):
            assert await read(shop, order) >= order.version
        await kill(replica)
    assert shop.count("shop_replica_reads", target="replica") == 20
    assert await read(shop, order) >= order.version
    assert shop.count("shop_replica_fallbacks", reason="unavailable") == 1
    await servers.replicas[0].restart()
    await shop.sample()
    assert await read(shop, order) >= order.version
    assert shop.count("shop_replica_reads", target="replica") == 21


@pytest.mark.full
async def test_a_replica_that_hangs_leaves_time_for_another(shop: ReplicatedShop, servers: Servers) -> None:
    """It accepts the statement and never answers: its backends are stopped."""
    order = await shop.place()
    await wait_until_replayed(servers, *servers.replicas)
    for _ in range(4):
        await shop.orders.application.get_order(with_token(order))
    stopped = await backends(servers.replicas[0])
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            with deadline.within(20):
                assert await read(shop, order) >= order.version
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert shop.count("shop_replica_reads", target="replica") == 6


async def test_a_read_that_conflicts_with_the_replay_is_repeated_on_the_primary(
    shop: ReplicatedShop, servers: Servers
) -> None:
    order = await shop.place()
    for replica in servers.replicas:
        statement = "ALTER SYSTEM SET max_standby_streaming_delay = 0"
        await execute(replica.admin_dsn, statement, "SELECT pg_reload_conf()")
    await execute(servers.on(servers.primary, "order"), "CREATE TABLE scratch AS SELECT 1 AS one")
    await wait_until_replayed(servers, *servers.replicas)
    began = asyncio.Event()

    async def read_slowly(database: Database) -> str:
        began.set()
        await database.fetch("SELECT scratch", "SELECT one, pg_sleep(300) FROM scratch")
        return "the replica"

    async def read_primary() -> str:
        return "the primary"

    reading = asyncio.create_task(shop.order_replicas.read(read_slowly, primary=read_primary, may_wait=False))
    await began.wait()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await sleepers(servers):
            await asyncio.sleep(0.01)
    await execute(servers.on(servers.primary, "order"), "DROP TABLE scratch")
    with deadline.within(PATIENCE_SECONDS):
        assert await reading == "the primary"
    assert shop.count("shop_replica_conflicts") == 1
    assert shop.count("shop_replica_fallbacks", reason="conflict") == 1
    assert await read(shop, order) >= order.version


async def test_a_replica_without_a_new_column_is_not_read(shop: ReplicatedShop, servers: Servers) -> None:
    """A migration reaches it later than the code that needs it."""
    for replica in servers.replicas:
        await execute(replica.admin_dsn, "SELECT pg_wal_replay_pause()")
    await execute(servers.on(servers.primary, "order"), "CREATE TABLE fresh AS SELECT 'new' AS word")

    async def read(database: Database) -> str:
        (row,) = await database.fetch("SELECT fresh", "SELECT word FROM fresh")
        return str(row["word"])

    assert await shop.order_replicas.read(read, primary=lambda: read(shop.database), may_wait=False) == "new"
    assert shop.count("shop_replica_fallbacks", reason="unavailable") == 1


async def test_a_promoted_replica_takes_writes_and_the_former_primary_returns(
    shop: ReplicatedShop, servers: Servers
) -> None:
    order = await shop.place()
    heir, other = servers.replicas
    await wait_until_replayed(servers, heir, other)
    await kill(servers.primary)
    await promote(heir)
    await shop.sample()
    assert (await retried(shop, with_token(order))).version >= order.version
    async with asyncio.timeout(PATIENCE_SECONDS):
        later = await placed_once_possible(shop)
    await rejoin(servers.primary, primary=heir)
    await until_it_replayed(servers.primary, later, servers)
    await kill(other)  # it still follows the former primary
    before = shop.count("shop_replica_reads", target="replica")
    await shop.sample()
    assert (await shop.orders.application.get_order(with_token(later))).version >= later.version
    assert shop.count("shop_replica_reads", target="replica") == before + 1
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await shop.orders.application.get_order(with_token(order))).version >= order.version:
            await asyncio.sleep(0.01)


@pytest.mark.full
async def test_a_token_whose_write_a_failover_lost_ends_within_its_bound(
    shop: ReplicatedShop, servers: Servers
) -> None:
    kept = await shop.place()
    heir, other = servers.replicas
    await wait_until_replayed(servers, heir, other)
    for replica in servers.replicas:
        await execute(replica.admin_dsn, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        await until_no_receiver(replica)
    lost = await shop.place()
    await kill(servers.primary)
    await promote(heir)
    await shop.sample()
    assert (await retried(shop, with_token(kept))).version >= kept.version
    with deadline.within(PATIENCE_SECONDS), pytest.raises(ReadModelBehind):
        await retried(shop, with_token(lost))


async def backends(server: EmbeddedPostgres) -> list[int]:
    """Return the processes that serve the shop's connections to a server."""
    connection = await asyncpg.connect(server.admin_dsn, timeout=PATIENCE_SECONDS)
    try:
        rows = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE usename = 'order'")
        return [row["pid"] for row in rows]
    finally:
        await connection.close()


async def sleepers(servers: Servers) -> int:
    """Return how many statements sleep on the replicas."""
    count = 0
    for replica in servers.replicas:
        connection = await asyncpg.connect(replica.admin_dsn, timeout=PATIENCE_SECONDS)
        count += await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        await connection.close()
    return count


async def until_no_receiver(replica: EmbeddedPostgres) -> None:
    """Wait until a replica receives no more."""
    connection = await asyncpg.connect(replica.admin_dsn, timeout=PATIENCE_SECONDS)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await connection.fetchval("SELECT count(*) FROM pg_stat_wal_receiver"):
            await asyncio.sleep(0.01)
    await connection.close()


async def until_it_replayed(server: EmbeddedPostgres, order: Order, servers: Servers) -> None:
    """Wait until a server has the order."""
    connection = await asyncpg.connect(servers.on(server, "order"), timeout=PATIENCE_SECONDS)
    async with asyncio.timeout(PATIENCE_SECONDS):
        select = "SELECT count(*) FROM orders WHERE order_id = $1 AND version >= $2"
        while not await connection.fetchval(select, order.order_id, order.version):
            await asyncio.sleep(0.01)
    await connection.close()


async def retried(shop: ReplicatedShop, query: GetOrder) -> Order:
    """Read an order again while connections to the former primary break."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await shop.orders.application.get_order(query)
            except ReadModelBehind:
                raise
            except ServiceError:
                await asyncio.sleep(0.05)


async def placed_once_possible(shop: ReplicatedShop) -> Order:
    """Place orders until one is accepted by the new primary."""
    while True:
        try:
            return await shop.place()
        except ServiceError:
            await asyncio.sleep(0.05)

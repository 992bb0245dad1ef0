"""Moves of a logical shard between two real servers, under load and interrupted at each step."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from observability.invariants.placement import MoveUnderWay
from observability.invariants.verification import verify
from services.infra import crash_points
from services.infra.migrations import migrate
from services.local.processes.scratch_folder import Scratch
from services.local.servers.databases import Databases
from services.local.servers.postgres import PostgresStart, start_postgres
from services.order.adapters.shard_fences import ShardFenced, ShardFences
from services.order.adapters.shard_move_session import TABLES, MoveRefused
from services.order.api import CancelOrder, GetOrder, OrderNotFound, OrderState
from services.order.domain.logical_shard import logical_shard_of
from services.order.domain.shard_map import spread
from services.order.workers import shard_move
from services.order.workers.shard_move import Moved, move_shard
from tests.contract.shop import Shop, open_shop, place, request_id, stock
from tests.patience import PATIENCE_SECONDS
from tests.postgres import MIGRATIONS, SHARD, empty, without_backstops, without_waiting_for_the_disk
from tests.soundness import target_of, violations

SHARD_MAP = spread(2, epoch=1)
STEPS = (
    *(f"shard_move.{name}.{when}_commit" for name in (
        "begin", "fence_target", "empty_target", "publish", "subscribe", "order_events", "fence_source", "activate",
        "flip", "clean", "end") for when in ("before", "after")),
    "shard_move.slot_created", "shard_move.paused", "shard_move.drained", "shard_move.slot_dropped",
)  # fmt: skip


class Killed(BaseException):
    """The process ended here."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Two servers: the DSN of each database, those of the administrators, and the folder of their logs."""

    dsns: dict[str, str]
    admin_dsns: list[str]
    logs: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """Start two servers, and create the shop's databases: the second has those of the second server of orders."""
    logs = tmp_path_factory.mktemp("postgres")
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        found: dict[str, str] = {}
        admin_dsns: list[str] = []
        for number, names in enumerate((tuple(MIGRATIONS), tuple(SHARD))):
            start = PostgresStart(
                scratch=scratch,
                log_path=logs / f"postgres-{number}.log",
                environment=os.environ,
                name=f"postgres-{number}",
                wal_level="logical",
            )
            server = await start_postgres(start, stack=stack)
            await without_waiting_for_the_disk(server.admin_dsn)
            admin_dsns.append(server.admin_dsn)
            databases = Databases(server.admin_dsn)
            found |= await databases.create(names)
            await without_backstops(server.admin_dsn, names)
            await databases.prepare_own_server(names)
            await databases.allow_moves(names[0])
        for name, dsn in found.items():
            for folder in MIGRATIONS[SHARD.get(name, name)]:
                await migrate(dsn, folder)
        yield Servers(found, admin_dsns, logs)


@pytest.fixture
async def shop(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """Open an empty shop in this process with two servers of orders; a move waits as long as a slow machine takes."""
    monkeypatch.setattr(shard_move, "DRAIN_SECONDS", PATIENCE_SECONDS)
    for dsn in servers.dsns.values():
        await empty(dsn)
    async with open_shop("sharded", servers.dsns) as opened:
        await stock(opened, A=100_000)
        yield opened


def customer_on(server: int) -> UUID:
    """Return a new customer whose orders are on a server before any move."""
    while SHARD_MAP.server_of(customer_id := uuid4()) != server:
        pass
    return customer_id


async def move(shop: Shop, customer_id: UUID, target: int) -> Moved:
    """Move the logical shard of a customer."""
    dsns = [shop.dsns["order"], shop.dsns["order_1"]]
    return await move_shard(dsns, logical_shard_of(customer_id), target, say=lambda _: None)


async def rows_on(shop: Shop, server: int, customer_id: UUID) -> int:
    """Return the rows of a customer's logical shard on a server."""
    connection = await asyncpg.connect(shop.dsns["order_1" if server else "order"])
    try:
        counts = [
            await connection.fetchval(
                f"SELECT count(*) FROM {table} WHERE logical_shard = $1", logical_shard_of(customer_id)
            )
            for table in TABLES
        ]
        return sum(counts)
    finally:
        await connection.close()


@asynccontextmanager
async def buying(shop: Shop, customer_id: UUID) -> AsyncIterator[list[UUID]]:
    """Let a customer place, read and cancel orders one after the other during a with block; yield their ids."""
    placed: list[UUID] = []
    stopping = asyncio.Event()

    async def buy() -> None:
        while not stopping.is_set():
            order = await shop.orders.place_order(place(customer_id, A=1))
            placed.append(order.order_id)
            state = (await shop.orders.get_order(GetOrder(customer_id, order.order_id))).state
            # On a slow machine the saga worker may have to finish it after the move.
            assert state in {OrderState.PENDING, OrderState.CONFIRMED}
            if len(placed) % 3 == 0:
                await shop.orders.cancel_order(CancelOrder(request_id(), customer_id, order.order_id))

    buyer = asyncio.create_task(buy())
    try:
        yield placed
        stopping.set()
        await buyer
    finally:
        buyer.cancel()


async def test_customers_are_served_while_their_logical_shard_moves(shop: Shop) -> None:
    """And those of other logical shards, on both servers; all orders stay, on the new server."""
    moving, other, neighbour = customer_on(0), customer_on(0), customer_on(1)
    async with buying(shop, moving) as placed, buying(shop, other), buying(shop, neighbour):
        moved = await move(shop, moving, 1)
        there = len(placed)
        while len(placed) < there + 3:
            await asyncio.sleep(0.01)
    assert await rows_on(shop, 0, moving) == 0
    await shop.settle()
    for number, order_id in enumerate(placed, start=1):
        ended = OrderState.CONFIRMED if number % 3 else OrderState.CANCELLED
        assert (await shop.orders.get_order(GetOrder(moving, order_id))).state is ended
    assert await violations(shop) == []
    sys.stdout.write(f"its customers waited {moved.waited_seconds:.3f} s\n")


async def interrupted(shop: Shop, customer_id: UUID, target: int, point: str) -> None:
    """Begin or continue a move that ends at a crash point as by a kill; a step that it passes earlier is passed."""

    def end_here(name: str) -> None:
        if name == point:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crash_points.crash_points, "reached", end_here)
        with pytest.raises(Killed):
            await move(shop, customer_id, target)


@pytest.mark.full
async def test_a_move_continues_wherever_it_was_interrupted(shop: Shop) -> None:
    """At each crash point, one move after the other, while the customers buy on."""
    moving, other = customer_on(0), customer_on(0)
    async with buying(shop, moving) as placed, buying(shop, other):
        for number, point in enumerate(STEPS, start=1):
            await interrupted(shop, moving, number % 2, point)
            await move_on(shop, moving, number % 2)
    assert await violations(shop) == []
    assert placed


async def move_on(shop: Shop, customer_id: UUID, target: int) -> None:
    """Continue an interrupted move; one whose end was stored leaves nothing to continue."""
    try:
        await move(shop, customer_id, target)
    except MoveRefused as error:
        assert "already" in str(error)  # noqa: PT017


async def test_an_interrupted_move_shows(shop: Shop, servers: Servers) -> None:
    """The invariants cannot be checked meanwhile, and no other move begins. The source's password shows nowhere."""
    moving, other = customer_on(0), customer_on(0)
    await shop.orders.place_order(place(moving, A=1))
    await interrupted(shop, moving, 1, "shard_move.paused")
    with pytest.raises(MoveUnderWay):
        await verify(target_of(shop))
    with pytest.raises(MoveRefused, match="not complete"):
        await move(shop, other, 1)
    await move(shop, moving, 1)
    assert await violations(shop) == []
    assert str(urlsplit(shop.dsns["order"]).password) not in await what_is_written(servers)


async def test_a_role_without_a_right_on_a_parameter_begins_no_move(shop: Shop, servers: Servers) -> None:
    """The error names the parameter."""
    admin = await asyncpg.connect(servers.admin_dsns[1])
    try:
        await admin.execute("REVOKE SET ON PARAMETER log_statement FROM order_1")
        with pytest.raises(MoveRefused, match=r"role of server 1 needs GRANT SET ON PARAMETER log_statement$"):
            await move(shop, customer_on(0), 1)
        await admin.execute("GRANT SET ON PARAMETER log_statement TO order_1")
    finally:
        await admin.close()


async def test_a_move_whose_slot_was_dropped_copies_anew(shop: Shop) -> None:
    """The changes in between are in no slot."""
    moving = customer_on(0)
    await shop.orders.place_order(place(moving, A=1))
    await interrupted(shop, moving, 1, "shard_move.paused")
    source = await asyncpg.connect(shop.dsns["order"])
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await source.fetchval("SELECT bool_or(active) FROM pg_replication_slots"):
                await asyncio.sleep(0.05)
        await source.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    finally:
        await source.close()
    late = await shop.orders.place_order(place(moving, A=1))
    await move(shop, moving, 1)
    assert (await shop.orders.get_order(GetOrder(moving, late.order_id))).state is OrderState.CONFIRMED
    assert await violations(shop) == []


async def what_is_written(servers: Servers) -> str:
    """Return the servers' logs and the statements in their statistics."""
    found = [path.read_text() for path in servers.logs.glob("*.log")]
    for dsn in servers.admin_dsns:
        connection = await asyncpg.connect(dsn)
        try:
            found += [row["query"] for row in await connection.fetch("SELECT query FROM pg_stat_statements")]
        finally:
            await connection.close()
    assert any("ALTER SUBSCRIPTION" in text for text in found)
    return "\n".join(found)


async def test_a_process_with_an_old_map_neither_writes_nor_reads_on_the_source(shop: Shop) -> None:
    """Its write is rejected by the server, and its read is checked after it."""
    moving = customer_on(0)
    order = await shop.orders.place_order(place(moving, A=1))
    async with open_shop("sharded", shop.dsns) as late:
        await move(shop, moving, 1)
        with pytest.raises(ShardFenced):
            await ShardFences(database=late.databases["order"]).check(logical_shard_of(moving))
        with pytest.raises(asyncpg.PostgresError, match="on another server"):
            await insert_key(late, moving)
        assert (await late.orders.get_order(GetOrder(moving, order.order_id))).state is OrderState.CONFIRMED
        again = place(moving, A=1)
        assert (await late.orders.place_order(again)).state is OrderState.CONFIRMED
        assert (await shop.orders.place_order(again)).order_id == (await late.orders.place_order(again)).order_id
        with pytest.raises(OrderNotFound):
            await late.orders.get_order(GetOrder(moving, uuid4()))


async def insert_key(shop: Shop, customer_id: UUID) -> None:
    """Write a row of a customer's logical shard to the first server, as a process with an old map does."""
    insert = "INSERT INTO idempotency_keys VALUES ($1, 'late', $2, $3, now(), $4)"
    async with shop.databases["order"].transaction("test") as transaction:
        arguments = (str(customer_id), bytes(32), uuid4(), logical_shard_of(customer_id))
        await transaction.execute("INSERT idempotency_keys", insert, *arguments)


@pytest.mark.full
async def test_a_logical_shard_moves_back_with_its_open_orders(shop: Shop) -> None:
    """An order on its way is settled by the server that has it, and each event is in that server's log once."""
    moving = customer_on(0)
    await shop.orders.place_order(place(moving, A=1))
    await shop.catch_up()
    for target in (1, 0):
        pending = await shop.parts.application.place_order(place(moving, A=1))
        await move(shop, moving, target)
        assert await rows_on(shop, 1 - target, moving) == 0
        assert await violations(shop) == []
        await shop.orders.cancel_order(CancelOrder(request_id(), moving, pending.order_id))
    assert await violations(shop) == []


@pytest.mark.full
async def test_a_lost_log_of_the_new_server_is_filled_with_what_was_moved(shop: Shop) -> None:
    """In order of the versions, although the rows were copied in another order."""
    moving = customer_on(0)
    for _ in range(5):
        await shop.orders.place_order(place(moving, A=1))
    await shop.catch_up()
    async with shop.databases["order"].transaction("test") as transaction:
        # A new copy of a row lies behind those of later versions.
        await transaction.execute("UPDATE events", "UPDATE events SET meta = meta WHERE version = 1")
    # Autovacuum may have seen an empty table, which the planner then takes for the copied one.
    target = await asyncpg.connect(shop.dsns["order_1"])
    await target.execute("VACUUM ANALYZE events")
    await target.close()
    await move(shop, moving, 1)
    await shop.catch_up()
    await shop.logs[1].reset()
    assert await violations(shop) == []
    assert (await shop.logs[1].state()).count == 10

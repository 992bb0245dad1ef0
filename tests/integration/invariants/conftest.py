"""Fixture of an idle shop with orders in every final state, restored before each test."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from observability.invariants.target import InvariantChecks, VerifyTarget
from observability.invariants.verification import verify
from services.order.api import CancelOrder, OutOfStock, PlaceOrder, SkuNotFound
from tests.cancelling import is_cancelled_at
from tests.contract.shop import Shop, open_shop, place, request_id, stock
from tests.integration.invariants.keeping import Table, keep, put_back
from tests.postgres import PostgresServer, empty


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound shop at rest: its addresses, and its confirmations as files."""

    dsns: Mapping[str, str]
    folder: Path | None

    def target(self, *, quiet: bool = True) -> VerifyTarget:
        """Return it as something to verify."""
        return VerifyTarget(
            databases=self.dsns,
            event_log_url=self.dsns["event_log"],
            notifications_directory=self.folder,
            quiet=quiet,
        )

    async def checked(self, *, quiet: bool = True) -> InvariantChecks:
        """Run all checks on it."""
        return await verify(self.target(quiet=quiet))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kept(postgres_server: PostgresServer) -> Mapping[str, Mapping[str, Table]]:
    """Every row of every database, after all has happened."""
    for dsn in postgres_server.dsns.values():
        await empty(dsn)
    async with open_shop("in_process", postgres_server.dsns) as shop:
        await live(shop)
        await shop.settle()
        await shop.catch_up()
    return {name: await keep(dsn) for name, dsn in postgres_server.dsns.items()}


@pytest.fixture
async def sound(kept: Mapping[str, Mapping[str, Table]], postgres_server: PostgresServer, tmp_path: Path) -> Sound:
    """Open the shop."""
    for name, dsn in postgres_server.dsns.items():
        await put_back(dsn, kept[name])
    connection = await asyncpg.connect(postgres_server.dsns["notification"])
    try:
        for (event_id,) in await connection.fetch("SELECT event_id FROM notifications"):
            (tmp_path / f"{event_id}.eml").touch()
    finally:
        await connection.close()
    return Sound(postgres_server.dsns, tmp_path)


async def live(shop: Shop) -> None:
    """Let orders be sold, refused, cancelled before and after their sale, cut off anywhere, and repeated."""
    await stock(shop, A=1_000, B=1_000, C=2)
    await stock(shop, A=5)
    sold = [place(A=1, B=2), place(A=3), place(B=1)]
    for command in (*sold, sold[0], place(A=1, C=3), place(UNKNOWN=1)):
        await place_or_be_refused(shop, command)
    for command in sold[1:]:
        await cancel(shop, command, times=2)
    # Wherever the request was cut off: before its order was stored, before or after its reservation, or never.
    for wait in range(2, 62, 3):
        command = place(A=2, B=1)
        await is_cancelled_at(wait, shop.orders.place_order(command))
        if wait % 2:
            await cancel(shop, command, times=1)
    await expire_one(shop)


async def place_or_be_refused(shop: Shop, command: PlaceOrder) -> None:
    """Place an order, which may be refused."""
    with contextlib.suppress(OutOfStock, SkuNotFound):
        await shop.orders.place_order(command)


async def cancel(shop: Shop, command: PlaceOrder, *, times: int) -> None:
    """Cancel the order that a command placed, if it did."""
    select = "SELECT resource_id FROM idempotency_keys WHERE request_id = $1"
    for row in await shop.databases["order"].fetch("SELECT", select, command.request_id):
        for _ in range(times):
            await shop.orders.cancel_order(CancelOrder(request_id(), command.customer_id, row["resource_id"]))


async def expire_one(shop: Shop) -> None:
    """Let an order's reservation expire before it is confirmed, as if only the sweeper were in time."""
    command = place(A=1)
    expire = "UPDATE reservations SET expire_time = now() WHERE state = 'PENDING'"
    for wait in range(20, 60):
        await is_cancelled_at(wait, shop.orders.place_order(command))
        async with shop.databases["inventory"].transaction("test") as transaction:
            if await transaction.execute("UPDATE", expire):
                break
    else:
        raise AssertionError("no reservation was ever PENDING")
    await shop.sweeper.step()

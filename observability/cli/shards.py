"""`plumb shards`: list the servers of orders with their logical shards, and check where orders are."""

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.cli.group import new_app
from observability.invariants.placement import check_placement, read_map
from observability.invariants.snapshot_reader import Reader, snapshot
from observability.invariants.target import Check, Tally
from observability.load.target import find_endpoints
from services.local.platform.endpoints import Endpoints
from services.local.platform.plan import order_databases

_EXIT_VIOLATED = 1
PLACEMENT = "each row of an order is on the server of its logical shard"
# Purpose: what a server holds, from its tables as they are.
COUNTS = """
    SELECT (SELECT count(DISTINCT logical_shard) FROM orders) AS shards_in_use, (SELECT count(*) FROM orders) AS orders,
        (SELECT count(*) FROM sagas) AS sagas, (SELECT count(*) FROM outbox) AS unpublished"""

EndpointsOption = Annotated[
    Path | None, typer.Option("--endpoints", help="Endpoints file. Default: that of the platform started last.")
]

commands = new_app(help_text="List the servers of orders, and check that each order is on the right one.")


@dataclass(frozen=True, slots=True)
class OrderServerSummary:
    """What one server of orders holds.

    server: its number in the shard map.
    logical_shards: how many logical shards the map gives it.
    shards_in_use: how many of them have an order.
    orders: stored orders.
    sagas: orders on their way.
    unpublished: events that wait for the relay.
    """

    server: int
    logical_shards: int
    shards_in_use: int
    orders: int
    sagas: int
    unpublished: int


@commands.command("list")
def list_shards(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    endpoints: EndpointsOption = None,
) -> None:
    """List each server of orders: its logical shards, by the map that holds, and what it stores.

    Exit codes: 0 listed, 2 the platform could not be read.
    """
    epoch, servers = asyncio.run(_list(find_endpoints(endpoints)))
    if as_json:
        typer.echo(json.dumps({"epoch": epoch, "servers": [asdict(server) for server in servers]}, indent=2))
        return
    console = Console(highlight=False)
    console.print(f"shard map of epoch {epoch}")
    table = Table(
        "server", "logical shards", "in use", "orders", "on their way", "unpublished", box=None, pad_edge=False
    )
    for column in table.columns:
        column.justify = "right"
    for server in servers:
        table.add_row(*(f"{number:,}" for number in asdict(server).values()))
    console.print(table)


@commands.command("verify")
def verify_shards(*, endpoints: EndpointsOption = None) -> None:
    """Check that each row of an order is on the server that the shard map names for its logical shard.

    It holds at any time, also under load. `plumb verify` checks it, too, as a part of I2.

    Exit codes: 0 it holds, 1 it is violated, 2 the platform could not be read.
    """
    check = asyncio.run(_verify(find_endpoints(endpoints)))
    console = Console(highlight=False)
    console.print(f"{PLACEMENT}: {check.counted:,} orders, {check.violation_count:,} violations")
    for violation in check.violations:
        console.print(violation, markup=False, soft_wrap=True)
    raise typer.Exit(_EXIT_VIOLATED if check.violation_count else 0)


async def _list(platform: Endpoints) -> tuple[int, list[OrderServerSummary]]:
    async with snapshot(*_order_dsns(platform)) as orders:
        shard_map = await read_map(orders)
        servers = []
        for number, connection in enumerate(orders.connections):
            (counts,) = await Reader([connection]).rows(COUNTS)
            servers.append(OrderServerSummary(server=number, logical_shards=len(shard_map.shards_of(number)), **counts))
        return shard_map.epoch, servers


async def _verify(platform: Endpoints) -> Check:
    tally = Tally("I2", PLACEMENT)
    async with snapshot(*_order_dsns(platform)) as orders:
        tally.counted = await orders.count("SELECT count(*) FROM orders")
        await check_placement(orders, tally)
    return tally.check()


def _order_dsns(platform: Endpoints) -> list[str]:
    return [platform.databases[name] for name in order_databases(platform.databases)]

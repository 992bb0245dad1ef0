"""`plumb shards`: list the servers of orders, move a logical shard to another, and check where orders are."""

import asyncio
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from asyncpg import PostgresError
from rich.console import Console
from rich.table import Table

from observability.cli.exit_codes import SIGNAL_BASE, CommandFailed
from observability.cli.group import new_app
from observability.invariants.placement import check_no_move, check_placement, read_map
from observability.invariants.snapshot_reader import Reader, snapshot
from observability.invariants.target import Check, Tally
from observability.load.target import find_endpoints
from services.infra.crash_points import crash_points
from services.local.platform.endpoints import Endpoints
from services.local.platform.plan import order_databases
from services.local.processes.signals import Interrupted, run_interruptible
from services.order.adapters.shard_move_session import MoveRefused
from services.order.domain.logical_shard import LOGICAL_SHARDS
from services.order.workers.shard_move import MoveStalled, interrupted_move, move_shard

_EXIT_VIOLATED = 1
_EXIT_NOT_MOVED = 1
PLACEMENT = "each row of an order is on the server of its logical shard"
# Purpose: count what a server stores, whatever the map says.
COUNTS = """
    SELECT (SELECT count(DISTINCT logical_shard) FROM orders) AS shards_in_use, (SELECT count(*) FROM orders) AS orders,
        (SELECT count(*) FROM sagas) AS sagas, (SELECT count(*) FROM outbox) AS unpublished"""

EndpointsOption = Annotated[
    Path | None, typer.Option("--endpoints", help="Endpoints file. Default: that of the platform started last.")
]

commands = new_app(
    help_text="List the servers of orders, move logical shards between them, and check where orders are."
)


@dataclass(frozen=True, slots=True)
class OrderServerSummary:
    """What one server of orders holds.

    server: its number in the shard map.
    logical_shards: how many logical shards the map gives it.
    shards_in_use: how many of them have an order.
    orders: stored orders.
    sagas: orders that are not finished.
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
    """List each server of orders: its logical shards in the current map, and what it stores.

    Exit codes: 0 listed, 2 the platform could not be read.
    """
    platform = find_endpoints(endpoints)
    epoch, servers = asyncio.run(_list(platform))
    move = asyncio.run(interrupted_move(_order_dsns(platform)))
    if as_json:
        document = {"epoch": epoch, "servers": [asdict(each) for each in servers], "move": move and asdict(move)}
        typer.echo(json.dumps(document, indent=2))
        return
    console = Console(highlight=False)
    console.print(f"shard map of epoch {epoch}")
    table = Table(
        "server", "logical shards", "in use", "orders", "not finished", "unpublished events", box=None, pad_edge=False
    )
    for column in table.columns:
        column.justify = "right"
    for server in servers:
        table.add_row(*(f"{number:,}" for number in asdict(server).values()))
    console.print(table)
    if move:
        console.print(
            f"logical shard {move.logical_shard} is being moved from server {move.source} to {move.target}; if that "
            f"was interrupted: plumb shards move {move.logical_shard} {move.target}",
            soft_wrap=True,
        )


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


@commands.command("move")
def move_logical_shard(
    *,
    logical_shard: Annotated[int, typer.Argument(min=0, max=LOGICAL_SHARDS - 1, help="Logical shard to move.")],
    server: Annotated[int, typer.Argument(min=0, help="Number of the server that gets it.")],
    endpoints: EndpointsOption = None,
) -> None:
    """Move a logical shard to another server of orders, while its customers place orders.

    PostgreSQL copies the rows and follows their changes. For a moment at the end, the customers of the logical shard
    wait. If the command is interrupted or killed, run it again at once: it continues. Until then these customers may
    be rejected.

    Exit codes: 0 moved, 1 not moved, 2 bad options, 130 interrupted.
    """
    dsns = _order_dsns(find_endpoints(endpoints))
    if server >= len(dsns):
        raise CommandFailed(f"there is no server {server}: the platform has {len(dsns)}, counted from 0", status=2)
    crash_points.arm(os.environ)
    console = Console(stderr=True, highlight=False)
    try:
        moved = run_interruptible(lambda: move_shard(dsns, logical_shard, server, say=console.print))
    except Interrupted as interruption:
        status = SIGNAL_BASE + interruption.number
        raise CommandFailed("interrupted; run the same command to continue", status=status) from interruption
    except MoveRefused as error:
        raise CommandFailed(f"not moved: {error}", status=_EXIT_NOT_MOVED) from error
    except (MoveStalled, OSError, PostgresError) as error:
        reason = (str(error) or type(error).__name__).rstrip(".")
        message = f"not complete: {reason}. Run the same command to continue"
        raise CommandFailed(message, status=_EXIT_NOT_MOVED) from error
    waited = "" if moved.waited_seconds is None else f"; its customers waited {1000 * moved.waited_seconds:.0f} ms"
    Console(highlight=False).print(f"logical shard {logical_shard} is on server {server}{waited}")


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
        await check_no_move(orders)
        tally.counted = await orders.count("SELECT count(*) FROM orders")
        await check_placement(orders, tally)
    return tally.check()


def _order_dsns(platform: Endpoints) -> list[str]:
    return [platform.databases[name] for name in order_databases(platform.databases)]

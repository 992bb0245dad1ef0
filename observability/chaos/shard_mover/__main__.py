"""Shard mover process: moves logical shards with orders from server to server until it receives SIGTERM.

A campaign kills it at each step of a move; started again, it continues the move.
"""

import asyncio
import os
import random
import signal
import sys

import asyncpg

from services.infra import program
from services.infra.crash_points import crash_points
from services.infra.lifecycle import write_ready_file
from services.infra.settings import read_settings
from services.order.settings import OrderContextSettings
from services.order.workers.shard_move import MoveStalled, interrupted_move, move_shard

CONNECT_SECONDS = 10.0
POLL_SECONDS = 0.1


async def move_on(settings: OrderContextSettings) -> None:
    """Continue an interrupted move, then make one after the other."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    write_ready_file(settings.ready_file, {})
    dsns = settings.order_dsns
    while True:
        if move := await interrupted_move(dsns):
            await move_one(dsns, move.logical_shard, move.target)
        elif stopping.is_set():
            return
        elif in_use := await shards_with_orders(dsns):
            logical_shard, server = random.choice(in_use)
            await move_one(dsns, logical_shard, (server + 1) % len(dsns))
        else:
            await asyncio.sleep(POLL_SECONDS)


async def move_one(dsns: list[str], logical_shard: int, target: int) -> None:
    """Make or continue a move. One that stalls on a slow machine is continued by the next call."""
    try:
        await move_shard(dsns, logical_shard, target, say=lambda _: None)
    except MoveStalled as error:
        sys.stderr.write(f"logical shard {logical_shard} to server {target}: {error}\n")


async def shards_with_orders(dsns: list[str]) -> list[tuple[int, int]]:
    """Return the logical shards that have orders, each with its server."""
    found = []
    for server, dsn in enumerate(dsns):
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
        try:
            rows = await connection.fetch("SELECT DISTINCT logical_shard FROM orders", timeout=CONNECT_SECONDS)
            found += [(row["logical_shard"], server) for row in rows]
        finally:
            await connection.close(timeout=CONNECT_SECONDS)
    return found


def command(_arguments: list[str]) -> None:
    """Run until SIGTERM."""
    crash_points.arm(os.environ)
    asyncio.run(move_on(read_settings(OrderContextSettings)))


if __name__ == "__main__":
    program.main("shard-mover", command)

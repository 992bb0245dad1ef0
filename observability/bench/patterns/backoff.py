"""Benchmark of the pattern retry with jitter: callers contend for one row after a common failure, with and without it.

Each caller reads the row's version and stores the next one if it is still that version; otherwise it waits and tries
again. All begin at the same moment. The delays with jitter are the product's; without it each is its upper bound.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from observability.bench.patterns.blocks import PatternBench, shuffled
from observability.bench.patterns.effect import PatternEffect, ratio_effect
from observability.bench.read_model import session, start_server
from observability.telemetry import setup
from services.infra import deadline
from services.infra.backoff import FIRST_SECONDS, full_jitter_seconds
from services.infra.postgres import Database

CALLERS = 16
LONGEST_SECONDS = 0.4
# Long, because without jitter about one caller succeeds per round of attempts.
LIMIT_SECONDS = 300.0
TABLE = "CREATE TABLE contended (id int PRIMARY KEY, version bigint NOT NULL); INSERT INTO contended VALUES (1, 0)"


def with_jitter(failures: int) -> float:
    """Return the product's delay."""
    return full_jitter_seconds(failures, most_seconds=LONGEST_SECONDS)


def without_jitter(failures: int) -> float:
    """Return the upper bound of the product's delay."""
    return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures, 20))


SIDES: dict[str, Callable[[int], float]] = {"full jitter": with_jitter, "no jitter": without_jitter}


async def backoff(bench: PatternBench) -> list[PatternEffect]:
    """Compare contending callers with jitter and without: their attempts, and the time until all have succeeded."""
    attempts: dict[str, list[float]] = {side: [] for side in SIDES}
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    async with AsyncExitStack() as stack:
        dsns = await start_server({"contended": ()}, bench.folder, stack)
        async with session(dsns["contended"]) as connection:
            await connection.execute(TABLE)
        runtime = setup.start("bench-patterns", log_level="warning")
        stack.callback(runtime.shut_down, timeout_seconds=1.0)
        telemetry = runtime.for_context("order")
        database = await Database.open(dsns["contended"], pool_size=CALLERS, telemetry=telemetry)
        stack.push_async_callback(database.close, timeout_seconds=1.0)
        await contend(database, with_jitter)  # opens the connections
        for turn, sides in enumerate(shuffled(bench, list(SIDES), name="back-off", turns=bench.sizes.rounds), start=1):
            bench.say(f"back-off: turn {turn} of {bench.sizes.rounds}: {', '.join(sides)}")
            for side in sides:
                counted, took = await contend(database, SIDES[side])
                attempts[side].append(counted)
                seconds[side].append(took)
    callers = f"{CALLERS} callers that contend for one row"
    return [
        ratio_effect(f"attempts until all have succeeded, {callers}: full jitter / none", attempts),
        ratio_effect("time until all have succeeded, full jitter / none", seconds),
    ]


async def contend(database: Database, delay_seconds: Callable[[int], float]) -> tuple[float, float]:
    """Return the attempts of all callers, and the seconds until the last one succeeded."""
    attempts = 0

    async def call() -> None:
        nonlocal attempts
        failures = 0
        while True:
            attempts += 1
            if await try_once(database):
                return
            failures += 1
            await asyncio.sleep(delay_seconds(failures))

    began = time.perf_counter()
    with deadline.within(LIMIT_SECONDS):
        await asyncio.gather(*(call() for _ in range(CALLERS)))
    return float(attempts), time.perf_counter() - began


async def try_once(database: Database) -> bool:
    """Store the next version of the row; False if another caller was first."""
    select = "SELECT version FROM contended WHERE id = 1"
    update = "UPDATE contended SET version = version + 1 WHERE id = 1 AND version = $1 RETURNING version"
    (row,) = await database.fetch("SELECT contended", select)
    return bool(await database.fetch("UPDATE contended", update, row["version"]))

"""Benchmark of the list of orders: query time of a page at two sizes of the read model, measured alternately.

The code is the product's own, from page token to values, outside a trace. A first page is that of the customer of an
order drawn at random, so customers with many orders are drawn more often. A deep page begins after an order drawn from
those that are at least the 100th of their customer's list and have a whole page after them.
"""

import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg

from observability.analysis.quantiles import quantile
from observability.telemetry import setup
from observability.telemetry.telemetry import Telemetry
from services.infra.migrations import migrate
from services.infra.postgres import Database
from services.local.platform.plan import base_environment
from services.local.processes.scratch_folder import Scratch
from services.local.servers.databases import Databases
from services.local.servers.postgres import PostgresStart, start_postgres
from services.order.adapters.page_token import encode_page_token
from services.order.adapters.summaries import PostgresSummaries
from services.order.api import DEFAULT_PAGE_SIZE, ListOrders
from services.order.migrate import READ_MIGRATIONS

SIZES = ("small", "big")
# Bounds of the order at which a page starts: its least position in the list, and the least number of orders after it.
CASES = {"first page": (1, 0), "deep page": (100, DEFAULT_PAGE_SIZE)}
CHUNK = 100_000
# PostgreSQL plans a statement five times for its arguments (custom plan) before it may use a generic plan.
EXECUTIONS = 10
# Purpose: ten orders a customer on average, over two years; the r-th customer's share falls with r^(-2/3).
FILL = """
    INSERT INTO order_summaries (order_id, customer_id, version, state, line_count, currency_code, total_minor,
        create_time, update_time)
    SELECT md5('order' || n)::uuid, md5('customer' || floor({orders} / 10 * power(random(), 3)))::uuid, 2,
        CASE WHEN random() < 0.05 THEN 'CANCELLED' ELSE 'CONFIRMED' END, 1 + n % 40, 'GBP', 100 + n % 90000, at, at
    FROM (SELECT n, timestamptz '2026-01-01' - random() * interval '730 days' AS at
        FROM generate_series({first}, {last}) n) made"""
# Purpose: distribution of the orders over the customers.
SPREAD = """
    SELECT count(*) AS customers, percentile_disc(0.5) WITHIN GROUP (ORDER BY count) AS median, max(count) AS most
    FROM (SELECT count(*) FROM order_summaries GROUP BY customer_id) spread"""
# Purpose: orders in random order, each with its position in its customer's list.
DRAWN = """
    SELECT customer_id, create_time, order_id, place FROM (
        SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY create_time DESC, order_id DESC) AS place,
            count(*) OVER (PARTITION BY customer_id) FROM order_summaries) numbered
    WHERE place >= $1 AND count - place >= $2 ORDER BY md5($3 || order_id::text) LIMIT $4"""
# Purpose: number of custom and generic plans in this session.
PLANS = """
    SELECT sum(generic_plans)::int AS generic, sum(custom_plans)::int AS custom FROM pg_prepared_statements
    WHERE statement LIKE '%FROM order_summaries%' AND statement NOT LIKE '%pg_prepared_statements%'"""

Say = Callable[[str], None]
Seconds = dict[str, dict[str, list[list[float]]]]


@dataclass(frozen=True, slots=True)
class ReadModelBenchOptions:
    """Options of the benchmark.

    small, big: orders in each of the two read models.
    rounds: rounds after the warm-up.
    queries: queries of each case a round.
    seed: fixes orders, queries and sequence.
    directory: where the server's log goes.
    """

    small: int
    big: int
    rounds: int
    queries: int
    seed: int
    directory: Path


@dataclass(frozen=True, slots=True)
class ReadModelBench:
    """Seconds of each query by case, size and round; and a description of each read model, with its plans, by size."""

    seconds: Seconds
    models: Mapping[str, Mapping[str, Any]]


async def start_server(folders: Mapping[str, Iterable[Path]], directory: Path, stack: AsyncExitStack) -> dict[str, str]:
    """Start a PostgreSQL with a migrated database for each name, for the life of the stack. Raises LocalError.

    Returns their addresses by name, and the administrator's as "postgres".
    """
    scratch = Scratch()
    stack.push_async_callback(scratch.close)
    log_path, environment = directory / "postgres.log", base_environment()
    start = PostgresStart(scratch=scratch, log_path=log_path, environment=environment)
    server = await start_postgres(start, stack=stack)
    dsns = await Databases(server.admin_dsn).create(list(folders))
    for name, dsn in dsns.items():
        for folder in folders[name]:
            await migrate(dsn, folder)
    return {**dsns, "postgres": server.admin_dsn}


@asynccontextmanager
async def session(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Connect for statements that may take longer than the role's limit."""
    connection = await asyncpg.connect(dsn, server_settings={"statement_timeout": "0"})
    try:
        yield connection
    finally:
        await connection.close()


async def checkpoint(dsns: Mapping[str, str]) -> None:
    """Write all dirty pages, so that no block pays for the writes of another."""
    async with session(dsns["postgres"]) as connection:
        await connection.execute("CHECKPOINT")


class Explained(Database):
    """Database that explains statements instead of answering them, with the plan that a session settles on."""

    plan: Sequence[str] = ()

    async def fetch(self, summary: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run the statement several times for its final plan, and return no rows."""
        values = ", ".join("NULL" if value is None else f"'{value}'" for value in arguments)
        await super().fetch(summary, f"PREPARE explained AS {sql}")
        for _ in range(EXECUTIONS):
            rows = await super().fetch(summary, f"EXPLAIN (ANALYZE, BUFFERS) EXECUTE explained ({values})")
            self.plan = [row[0] for row in rows]
        await super().fetch(summary, "DEALLOCATE explained")
        return []


async def measure(options: ReadModelBenchOptions, *, say: Say) -> ReadModelBench:
    """Run the benchmark; the warm-up round is left out. Raises LocalError."""
    chance, turns = random.Random(options.seed), list(product(CASES, SIZES))
    seconds: Seconds = {case: {size: [] for size in SIZES} for case in CASES}
    async with AsyncExitStack() as stack:
        say("starting PostgreSQL")
        dsns = await start_server(dict.fromkeys(SIZES, READ_MIGRATIONS), options.directory, stack)
        runtime = setup.start("bench-read-model", log_level="warning")
        stack.callback(runtime.shut_down, timeout_seconds=1.0)
        telemetry = runtime.for_context("order")
        models = {size: await Model.open(size, dsns[size], options, telemetry, stack, say) for size in SIZES}
        await checkpoint(dsns)
        for number in range(options.rounds + 1):
            say(f"round {number} of {options.rounds}" + ("" if number else " (warm-up)"))
            blocks = {turn: list[float]() for turn in turns}
            for query in range(number * options.queries, (number + 1) * options.queries):
                for case, size in chance.sample(turns, len(turns)):
                    blocks[case, size].append(await models[size].seconds(case, query))
            for case, size in turns if number else ():
                seconds[case][size].append(blocks[case, size])
        return ReadModelBench(seconds, {size: await model.facts() for size, model in models.items()})


@dataclass(frozen=True, slots=True)
class Model:
    """A filled read model, its sessions, and its queries by case; `places` are the positions of the deep pages."""

    dsn: str
    database: Database
    explained: Explained
    queries: Mapping[str, Sequence[ListOrders]]
    places: Sequence[int]

    @staticmethod
    async def open(
        size: str, dsn: str, options: ReadModelBenchOptions, telemetry: Telemetry, stack: AsyncExitStack, say: Say
    ) -> "Model":
        """Insert the orders, draw the queries, and connect for the life of the stack."""
        orders, draw = getattr(options, size), (str(options.seed), (options.rounds + 1) * options.queries)
        async with session(dsn) as connection:
            await connection.execute(f"SELECT setseed({random.Random(options.seed).random()})")
            for first in range(1, orders + 1, CHUNK):
                last = min(first + CHUNK - 1, orders)
                await connection.execute(FILL.format(orders=orders, first=first, last=last))
                say(f"made {last:,} of {orders:,} orders")
            await connection.execute("VACUUM ANALYZE order_summaries")
            drawn = {case: await connection.fetch(DRAWN, *least, *draw) for case, least in CASES.items()}
        queries = {case: [query_of(case, row) for row in rows] for case, rows in drawn.items()}
        database = await Database.open(dsn, pool_size=1, telemetry=telemetry, name=size)
        stack.push_async_callback(database.close, timeout_seconds=1.0)
        explained = await Explained.open(dsn, pool_size=1, telemetry=telemetry, name=f"{size}_explained")
        stack.push_async_callback(explained.close, timeout_seconds=1.0)
        return Model(dsn, database, explained, queries, sorted(row["place"] for row in drawn["deep page"]))

    async def seconds(self, case: str, number: int) -> float:
        """Return the seconds of one page, from the query to its values."""
        query = self.queries[case][number % len(self.queries[case])]
        began = time.perf_counter()
        await PostgresSummaries(database=self.database).page(query)
        return time.perf_counter() - began

    async def facts(self) -> dict[str, Any]:
        """Return the customers' distribution, the depth of the pages, the counts of plans, and a plan of each case."""
        async with session(self.dsn) as connection:
            spread = await connection.fetchrow(SPREAD)
        (chosen,) = await self.database.fetch("SELECT pg_prepared_statements", PLANS)
        plans = {}
        for case, queries in self.queries.items():
            await PostgresSummaries(database=self.explained).page(queries[0])
            plans[case] = self.explained.plan
        depth = {"median": quantile(self.places, 0.5), "most": self.places[-1]}
        return {"spread": dict(spread or {}), "deep_place": depth, "plans_chosen": dict(chosen), "plans": plans}


def query_of(case: str, row: asyncpg.Record) -> ListOrders:
    """Return the query of a drawn order."""
    place = row["create_time"], row["order_id"], row["customer_id"]
    return ListOrders(row["customer_id"], page_token=encode_page_token(*place) if case == "deep page" else "")

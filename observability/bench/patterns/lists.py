"""Benchmark of the pattern CQRS: a page of a customer's orders, from the read model and from the write model."""

import random
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from hashlib import md5
from uuid import UUID

from observability.bench.patterns.blocks import PatternBench
from observability.bench.patterns.effect import PatternEffect, ratio_effect
from observability.bench.read_model import checkpoint, session, start_server
from observability.telemetry import setup
from services.infra.postgres import Database
from services.order.adapters.summaries import PostgresSummaries
from services.order.api import DEFAULT_PAGE_SIZE, ListOrders
from services.order.migrate import MIGRATIONS, READ_MIGRATIONS

ORDERS, CUSTOMERS, LINES = 20_000, 500, 12
QUERIES_A_SIZE = 4
# Purpose: an order in two models: the rows of the write model, and the row of the read model. The 13th digit of an id
# is its version: 4 is an id that carries no shard.
FILL_WRITE = f"""
    INSERT INTO orders (order_id, customer_id, state, version, line_count, currency_code, total_minor, create_time,
        update_time, logical_shard)
    SELECT overlay(md5('order' || n) PLACING '4' FROM 13)::uuid, customer, 'CONFIRMED', 2, {LINES}, 'GBP',
        {LINES} * 100, at, at, get_byte(sha256(uuid_send(customer)), 0)
    FROM (SELECT n, md5('customer' || n % {CUSTOMERS})::uuid AS customer,
        timestamptz '2026-01-01' - n * interval '1 minute' AS at FROM generate_series(1, {ORDERS}) n) made;
    INSERT INTO order_lines (order_id, line_number, sku, quantity, currency_code, unit_price_minor, logical_shard)
    SELECT order_id, line, (10000 + line)::text, 1, 'GBP', 100, logical_shard
    FROM orders, generate_series(1, {LINES}) line"""  # noqa: S608  # made of constants
FILL_READ = f"""
    INSERT INTO order_summaries (order_id, customer_id, version, state, line_count, currency_code, total_minor,
        create_time, update_time)
    SELECT overlay(md5('order' || n) PLACING '4' FROM 13)::uuid, md5('customer' || n % {CUSTOMERS})::uuid, 2,
        'CONFIRMED', {LINES}, 'GBP', {LINES} * 100, at, at
    FROM (SELECT n, timestamptz '2026-01-01' - n * interval '1 minute' AS at
        FROM generate_series(1, {ORDERS}) n) made"""  # noqa: S608  # made of constants
# Purpose: the page from the order's own row, which keeps count and total as the read model does.
STORED = """
    SELECT order_id, state, line_count, currency_code, total_minor, create_time FROM orders
    WHERE customer_id = $1 ORDER BY create_time DESC, order_id DESC LIMIT $2"""
# Purpose: the page with count and total computed from the lines, as a normalised write model needs it.
COMPUTED = """
    SELECT page.*, count(*) AS line_count, min(line.currency_code) AS currency_code,
        sum(line.quantity * line.unit_price_minor) AS total_minor
    FROM (SELECT order_id, state, create_time FROM orders
        WHERE customer_id = $1 ORDER BY create_time DESC, order_id DESC LIMIT $2) page
    JOIN order_lines line USING (order_id)
    GROUP BY page.order_id, page.state, page.create_time ORDER BY page.create_time DESC, page.order_id DESC"""

READ, NORMALISED, OWN_ROW = "read model", "computed from lines", "row of the write model"


async def lists(bench: PatternBench) -> list[PatternEffect]:
    """Read the same pages from both models alternately, and compare their median times."""
    chance = random.Random(bench.seed)
    bench.say(f"CQRS: {ORDERS:,} orders in both models")
    async with AsyncExitStack() as stack:
        folders = {"order": MIGRATIONS, "order_read": READ_MIGRATIONS}
        dsns = await start_server(folders, bench.folder, stack)
        for name, fill, tables in (
            ("order", FILL_WRITE, "orders, order_lines"),
            ("order_read", FILL_READ, "order_summaries"),
        ):
            async with session(dsns[name]) as connection:
                await connection.execute(fill)
                await connection.execute(f"VACUUM ANALYZE {tables}")
        await checkpoint(dsns)
        runtime = setup.start("bench-patterns", log_level="warning")
        stack.callback(runtime.shut_down, timeout_seconds=1.0)
        opened = {}
        for name in folders:
            opened[name] = await Database.open(
                dsns[name], pool_size=1, telemetry=runtime.for_context("order"), name=name
            )
            stack.push_async_callback(opened[name].close, timeout_seconds=1.0)
        pages = pages_of(opened["order"], PostgresSummaries(database=opened["order_read"]))
        medians: dict[str, list[float]] = {side: [] for side in pages}
        for number in range(1 + bench.sizes.rounds):
            block: dict[str, list[float]] = {side: [] for side in pages}
            for _ in range(QUERIES_A_SIZE * bench.sizes.requests):
                customer_id = customer(chance.randrange(CUSTOMERS))
                for side in chance.sample(list(pages), len(pages)):
                    began = time.perf_counter()
                    await pages[side](customer_id)
                    block[side].append(time.perf_counter() - began)
            for side in pages if number else ():  # the first block warms caches and plans
                medians[side].append(statistics.median(block[side]))
    computed = {READ: medians[READ], NORMALISED: medians[NORMALISED]}
    stored = {READ: medians[READ], OWN_ROW: medians[OWN_ROW]}
    return [
        ratio_effect("median time of a page of 20 orders, read model / computed from orders and their lines", computed),
        ratio_effect("the same, read model / rows of the write model that keep count and total", stored),
    ]


def pages_of(database: Database, summaries: PostgresSummaries) -> dict[str, Callable[[UUID], Awaitable[object]]]:
    """Return what reads a customer's first page, by side."""
    size = DEFAULT_PAGE_SIZE + 1  # one more shows whether there is a next page

    return {
        READ: lambda customer_id: summaries.page(ListOrders(customer_id)),
        NORMALISED: lambda customer_id: database.fetch("SELECT orders computed", COMPUTED, customer_id, size),
        OWN_ROW: lambda customer_id: database.fetch("SELECT orders page", STORED, customer_id, size),
    }


def customer(number: int) -> UUID:
    """Return the id that the databases made for a customer."""
    return UUID(md5(f"customer{number}".encode(), usedforsecurity=False).hexdigest())

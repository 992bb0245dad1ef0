"""Experiment payload: a service that reads whole lists gets the same answer as one that reads what it needs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.experiments import payload
from observability.telemetry import setup
from services.infra.postgres import Database
from tests.postgres import PostgresServer

CUSTOMERS = [UUID(int=number, version=4) for number in (1, 2, 3)]
SKUS = ("10001", "10012", "10040")
ITEMS = """
    INSERT INTO items (sku, on_hand, currency_code, unit_price_minor)
    SELECT (10001 + number)::text, 1, 'GBP', 100 + number FROM generate_series(0, 39) AS number"""


async def test_points_are_the_same_added_up_here_or_there(postgres_server: PostgresServer) -> None:
    """The third customer has no points."""
    tables = payload.POINTS.format(customers=",".join(map(str, CUSTOMERS[:2])), entries=3)
    async with database_with(postgres_server.dsns["order"], tables, "points") as database:
        sums = [
            [await payload.points_of(each, database, adds_up_here=adds_up_here) for each in CUSTOMERS]
            for adds_up_here in (True, False)
        ]
    amounts = [entry * 7919 % 500 for entry in range(1, 7)]
    assert sums == [[sum(amounts[:3]), sum(amounts), 0]] * 2


async def test_cheapest_supplier_is_the_same_compared_here_or_there(
    postgres_server: PostgresServer, clean_databases: None
) -> None:
    tables = f"{ITEMS};{payload.OFFERS.format(suppliers=5)}"
    async with database_with(postgres_server.dsns["inventory"], tables, "offers") as database:
        found = [await payload.cheapest(SKUS, database, compares_here=compares_here) for compares_here in (True, False)]
    assert found == [dict.fromkeys(SKUS, min(range(1, 6), key=lambda supplier: 50 + supplier * 31 % 40))] * 2


@asynccontextmanager
async def database_with(dsn: str, tables: str, name: str) -> AsyncIterator[Database]:
    """Run a with block with these tables in a database; `name` is the one to drop."""
    connection = await asyncpg.connect(dsn)
    runtime = setup.start("test", log_level="critical", processor=SimpleSpanProcessor(InMemorySpanExporter()))
    database = await Database.open(dsn, pool_size=1, telemetry=runtime.for_context("test"))
    try:
        await connection.execute(tables)
        yield database
    finally:
        await connection.execute(f"DROP TABLE IF EXISTS {name}")
        await connection.close()
        await database.close(timeout_seconds=10.0)
        runtime.shut_down(timeout_seconds=10.0)

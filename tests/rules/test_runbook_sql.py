"""SQL of the runbooks, planned by a real PostgreSQL in the database that the runbook opens."""

import re
from collections.abc import Iterator

import asyncpg
import pytest

from tests.postgres import PostgresServer
from tests.runbooks import Runbook, runbooks

pytestmark = pytest.mark.asyncio(loop_scope="session")
LOGIN = re.compile(r"psql .*-d (\w+)'")
# PostgreSQL plans no other kind of statement.
PLANNED = re.compile(r"\s*(SELECT|UPDATE|DELETE|INSERT)\b")


def statements(book: Runbook) -> Iterator[tuple[str, str]]:
    """Yield (database, statement) for each one that can be planned."""
    database = ""
    for block in (block for heading in book.sections for block in book.blocks(heading)):
        if login := LOGIN.search(block.text):
            database = login[1]
        elif block.language == "sql":
            assert database, f"{book.alert}: {block.text}"
            yield from ((database, each) for each in block.text.split(";") if PLANNED.match(each))


ALL = [(book.alert, *found) for book in runbooks() for found in statements(book)]


@pytest.mark.parametrize(("alert", "database", "statement"), ALL, ids=[alert for alert, _, _ in ALL])
async def test_a_statement_of_a_runbook_can_be_planned(
    alert: str, database: str, statement: str, postgres_server: PostgresServer
) -> None:
    """Its tables and columns exist. Nothing is executed."""
    connection = await asyncpg.connect(postgres_server.dsns[database])
    try:
        plan = await connection.fetch(f"EXPLAIN {statement}")
    finally:
        await connection.close()
    assert plan, alert

"""Inventory in process, on empty databases."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.shop import Shop, open_shop
from tests.postgres import PostgresServer


@pytest.fixture
async def shop(postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Shop]:
    """Open a shop in this process."""
    async with open_shop("in_process", postgres_server.dsns) as opened:
        yield opened

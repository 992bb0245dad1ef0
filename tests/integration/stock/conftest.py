"""Inventory in process, on empty databases."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.shop import Shop, open_shop


@pytest.fixture
async def shop(order_dsn: str, inventory_dsn: str, clean_databases: None) -> AsyncIterator[Shop]:
    """A shop in one process."""
    async with open_shop("in_process", order_dsn=order_dsn, inventory_dsn=inventory_dsn) as opened:
        yield opened

"""Inventory in process, on empty databases."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contract.shop import Shop, open_shop


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    """Give the root logger back to pytest after a test whose telemetry took it over."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
async def shop(order_dsn: str, inventory_dsn: str, clean_databases: None) -> AsyncIterator[Shop]:
    """A shop in one process."""
    async with open_shop("in_process", order_dsn=order_dsn, inventory_dsn=inventory_dsn) as opened:
        yield opened

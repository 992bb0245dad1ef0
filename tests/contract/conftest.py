"""Every test of the contract runs twice: in process, and over gRPC."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contract.shop import Mode, Shop, open_shop


@pytest.fixture(params=["in_process", "grpc"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """The way of calling."""
    found: Mode = request.param
    return found


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    """Give the root logger back to pytest after a test whose telemetry took it over."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
async def shop(mode: Mode, order_dsn: str, inventory_dsn: str, clean_databases: None) -> AsyncIterator[Shop]:
    """A shop on empty databases."""
    async with open_shop(mode, order_dsn=order_dsn, inventory_dsn=inventory_dsn) as opened:
        yield opened

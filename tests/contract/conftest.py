"""Every test of the contract runs twice: in process, and over gRPC."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.shop import Mode, Shop, open_shop
from tests.postgres import PostgresServer


@pytest.fixture(params=["in_process", "grpc"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Return the mode of calling."""
    found: Mode = request.param
    return found


@pytest.fixture
async def shop(mode: Mode, postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Shop]:
    """Open a shop on empty databases."""
    async with open_shop(mode, postgres_server.dsns) as opened:
        yield opened

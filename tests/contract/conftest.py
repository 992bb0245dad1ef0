"""Fixtures that run every contract test in process and over gRPC; those of orders also on two order databases."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.shop import Mode, Shop, open_shop
from tests.postgres import PostgresServer, empty


@pytest.fixture(params=["in_process", "grpc"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Return the mode of calling."""
    found: Mode = request.param
    return found


@pytest.fixture
async def shop(mode: Mode, postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Shop]:
    """Open a shop on empty databases."""
    dsns = postgres_server.dsns
    if mode == "sharded":
        dsns = {**dsns, **postgres_server.shard_dsns}
        for dsn in postgres_server.shard_dsns.values():
            await empty(dsn)
    async with open_shop(mode, dsns) as opened:
        yield opened

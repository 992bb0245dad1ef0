"""A whole shop in this process, on empty databases, that can be brought to rest and checked."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.shop import Shop, open_shop
from tests.postgres import PostgresServer
from tests.soundness import violations


@pytest.fixture
async def shop(postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Shop]:
    """Open a shop in this process."""
    async with open_shop("in_process", postgres_server.dsns) as opened:
        yield opened


async def assert_sound(shop: Shop) -> None:
    """Bring the shop to rest, and check every invariant."""
    assert await violations(shop) == []

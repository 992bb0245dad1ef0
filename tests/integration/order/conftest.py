"""A whole shop in this process, on empty databases, that can be brought to rest and checked."""

from collections.abc import AsyncIterator

import pytest

from observability.lab.verify.target import VerifyTarget
from observability.lab.verify.verify import verify
from tests.contract.shop import Shop, open_shop
from tests.postgres import PostgresServer


@pytest.fixture
async def shop(postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Shop]:
    """The shop."""
    async with open_shop("in_process", postgres_server.dsns) as opened:
        yield opened


async def assert_sound(shop: Shop) -> None:
    """Bring the shop to rest, and check every invariant."""
    await shop.settle()
    await shop.catch_up()
    target = VerifyTarget(
        databases=shop.dsns,
        event_log_url=shop.dsns["event_log"],
        event_log_allow_unsafe_sync=False,
        notifications_directory=None,
        quiet=True,
    )
    verdict = await verify(target)
    assert verdict.holds, [violation for check in verdict.checks for violation in check.violations]

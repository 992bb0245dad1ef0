"""Keys of consistency tokens: a new one each day, shared by all processes, and deleted when they are old."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.infra.postgres import Database
from services.kernel.errors import InvalidField
from services.order.adapters.token_keys import PERIOD_SECONDS, PostgresTokenKeys
from services.order.consistency_token import OrderVersion
from tests.contract.shop import Shop

SEEN = OrderVersion(uuid4(), uuid4(), 1)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(seconds=PERIOD_SECONDS)


class Process:
    """A process with a clock of its own."""

    def __init__(self, database: Database) -> None:
        self.now = NOON
        self.tokens = PostgresTokenKeys(database=database, clock=lambda: self.now)

    async def sign(self) -> str:
        """Return a token of now."""
        return (await self.tokens.keys()).sign(SEEN)

    async def takes(self, token: str) -> bool:
        """Say whether a token is good."""
        try:
            return (await self.tokens.keys()).verify(token, SEEN.customer_id) == SEEN
        except InvalidField:
            return False


@pytest.fixture
async def processes(shop: Shop) -> tuple[Process, Process]:
    """Two processes on one database, which has no key yet."""
    await forget(shop)
    return Process(shop.order_database), Process(shop.order_database)


async def test_every_process_takes_the_tokens_of_every_other(processes: tuple[Process, Process]) -> None:
    """Also of one that makes the keys at the same moment."""
    one, other = processes
    first, second = await asyncio.gather(one.sign(), other.sign())
    assert [await each.takes(token) for each in processes for token in (first, second)] == [True] * 4


async def test_a_token_is_valid_until_the_next_day(processes: tuple[Process, Process]) -> None:
    one, other = processes
    token = await one.sign()
    other.now = NOON + DAY
    assert await other.takes(token)
    other.now = NOON + 2 * DAY
    assert not await other.takes(token)


async def test_a_process_with_a_late_clock_accepts_newer_tokens(processes: tuple[Process, Process]) -> None:
    one, other = processes
    await other.sign()
    one.now = NOON + DAY
    assert await other.takes(await one.sign())


async def test_few_keys_are_kept(processes: tuple[Process, Process], shop: Shop) -> None:
    one, _ = processes
    for day in range(5):
        one.now = NOON + day * DAY
        await one.sign()
    assert await kept(shop) <= 3


async def test_the_database_is_read_once_a_day(processes: tuple[Process, Process], shop: Shop) -> None:
    """What is taken from it meanwhile is not missed."""
    one, _ = processes
    token = await one.sign()
    await forget(shop)
    assert (await one.sign(), await kept(shop)) == (token, 0)


async def kept(shop: Shop) -> int:
    """Return how many keys the database has."""
    (row,) = await shop.order_database.fetch("SELECT", "SELECT count(*) FROM consistency_token_keys")
    count: int = row["count"]
    return count


async def forget(shop: Shop) -> None:
    """Take all keys from the database."""
    async with shop.order_database.transaction("test") as transaction:
        await transaction.execute("DELETE", "DELETE FROM consistency_token_keys")

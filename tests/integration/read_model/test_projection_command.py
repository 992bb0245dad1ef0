"""`plumb projection rebuild`: what it prints, what it exits with, and what it says to do."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Mapping
from uuid import UUID

import asyncpg
import pytest

from services.order.adapters import summaries_rebuild
from services.order.adapters.summaries_rebuild import LOCK_KEY, alone
from services.order.api import EventNotUnderstood
from services.order.consumers.order_summaries import CONSUMER
from services.order.workers import rebuild as rebuilding
from tests.contract.shop import Shop, holding
from tests.integration.read_model.commanding import Platform
from tests.integration.read_model.conftest import follow, live, publish, sell
from tests.integration.read_model.folding import Row, all_folded, listed
from tests.integration.read_model.rebuilding import cut_off_at, rebuild
from tests.patience import PATIENCE_SECONDS

REBUILD = ("projection", "rebuild")
PROGRAM = "from observability.cli import main; main()"
PLACE_OF_CONSUMER = "SELECT FROM consumer_cursors WHERE consumer = $1 FOR UPDATE"
SPOIL = "UPDATE event_log SET data = '\\xff' WHERE aggregate_id = $1 AND aggregate_version = 1"


async def both(shop: Shop) -> tuple[Mapping[UUID, Row], Mapping[UUID, Row]]:
    """Return the list, and what it must be."""
    return await listed(shop), await all_folded(shop)


async def live_and_be_cut_off(shop: Shop) -> None:
    """Leave a rebuild at the fourth of eight events."""
    await live(shop)
    await cut_off_at(shop, 4)


async def live_and_lose_the_log(shop: Shop) -> None:
    """Wipe the log; it is not republished yet."""
    await live(shop)
    await shop.log.reset()


async def live_with_poison(shop: Shop) -> None:
    """Let the list park the two events of one order."""
    await live(shop)
    order_id = await sell(shop)
    await publish(shop)
    async with shop.databases["event_log"].transaction("test") as transaction:
        assert await transaction.execute("UPDATE", SPOIL, order_id) == 1
    await follow(shop, EventNotUnderstood)


def test_a_rebuild_reports_events_read_and_tables_swapped(platform: Platform) -> None:
    """And exits with 0."""
    platform.let(live)
    result = platform.plumb(*REBUILD)
    assert (result.exit_code, result.stdout) == (0, "8 events read\n3 orders in the list before, 3 now\n")
    found, expected = platform.let(both)
    assert found == expected


@pytest.mark.parametrize(
    ("options", "read"),
    [((), "4 events read, after 4 of an interrupted rebuild"), (("--anew",), "8 events read")],
    ids=["resumed", "anew"],
)
def test_an_interrupted_rebuild_is_resumed_or_forgotten(
    platform: Platform, options: tuple[str, ...], read: str
) -> None:
    """The option decides, and the output says which."""
    platform.let(live_and_be_cut_off)
    result = platform.plumb(*REBUILD, *options)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, read)


def test_events_that_could_not_be_consumed_are_reported(platform: Platform) -> None:
    """With the command that lists them, which then does."""
    platform.let(live_with_poison)
    result = platform.plumb(*REBUILD)
    assert result.exit_code == 0
    assert "2 events could not be consumed: see `plumb deadletters list`" in result.stdout
    assert platform.plumb("deadletters", "list").stdout.count("order_summaries") == 2


def test_a_log_that_lacks_orders_is_refused_unless_forced(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1, and what can be done; the list stays."""
    monkeypatch.setattr(rebuilding, "WAIT_LIMIT_SECONDS", -1.0)
    platform.let(live_and_lose_the_log)
    result = platform.plumb(*REBUILD)
    assert result.exit_code == 1
    assert "not swapped: 3 orders of the list are missing in the log" in result.stderr
    assert all(word in result.stderr for word in ("try again later", "--anew", "--force"))
    found, expected = platform.let(both)
    assert found == expected
    forced = platform.plumb(*REBUILD, "--force")
    assert (forced.exit_code, forced.stdout) == (0, "0 events read\n3 orders in the list before, 0 now\n")


def test_a_second_rebuild_is_rejected(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 1; nothing is begun."""
    monkeypatch.setattr(summaries_rebuild, "LOCK_SECONDS", 0.1)
    platform.let(live)
    with asyncio.Runner() as first:
        connection = first.run(asyncpg.connect(platform.dsns["order_read"]))
        first.run(connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY))
        result = platform.plumb(*REBUILD)
        first.run(connection.close())
    assert (result.exit_code, result.stdout) == (1, "")
    assert "plumb projection rebuild: another rebuild is running: wait until it ends" in result.stderr
    assert platform.plumb(*REBUILD).stdout.startswith("8 events read\n")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGKILL, -9, id="kill", marks=pytest.mark.full),
    ],
)
async def test_an_interrupted_rebuild_command_resumes(
    platform: Platform, shop: Shop, number: signal.Signals, code: int
) -> None:
    """A process of its own, which had read everything and waited for the consumer; the list was left alone."""
    await live(shop)
    async with holding(platform.dsns["order_read"], PLACE_OF_CONSUMER, CONSUMER) as consumer:
        process = start(platform)
        await waited_for(consumer)
        process.send_signal(number)
        _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE_SECONDS)
    assert process.returncode == code
    assert ("interrupted; run the same command to continue" in errors) == (number == signal.SIGINT)
    assert await listed(shop) == await all_folded(shop)
    async with alone(platform.dsns["order_read"]):
        rebuilt = await rebuild(shop).run()
    assert (rebuilt.events_read, rebuilt.resumed_after, rebuilt.swap.rows_after) == (0, 8, 3)


def start(platform: Platform) -> "subprocess.Popen[str]":
    """Start the command as a process."""
    arguments = [sys.executable, "-c", PROGRAM, *REBUILD, "--endpoints", str(platform.endpoints)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def waited_for(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Return when a process that is still starting waits for what this transaction locks."""
    waits = "SELECT pg_stat_clear_snapshot() IS NULL, count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(PATIENCE_SECONDS):
        # A database says nothing by itself: it must be asked.
        while not (row := await connection.fetchrow(waits)) or not row["count"]:
            await asyncio.sleep(0.02)

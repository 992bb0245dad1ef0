"""Invariant checks of a consistent, idle shop: no violation is reported, and no check is empty."""

from pathlib import Path

import asyncpg

from observability.invariants.quiescence import wait_for_quiet
from tests.integration.invariants.conftest import Sound


async def test_a_sound_shop_holds(sound: Sound) -> None:
    """Every invariant was asked, of more than nothing."""
    checked = await sound.checked()
    assert checked.sentences() == []
    assert checked.holds
    assert [check.name for check in checked.checks] == [f"I{number}" for number in range(1, 9)]
    assert all(check.counted > 0 and not check.skipped for check in checked.checks)


async def test_a_sound_shop_passes_the_checks_for_load_too(sound: Sound) -> None:
    """And what was left out is said."""
    checked = await sound.checked(quiet=False)
    assert checked.sentences() == []
    assert {check.name for check in checked.checks if check.skipped} == {"I3", "I4", "I6", "I7", "I8"}


async def test_every_final_state_is_among_the_checked_orders(sound: Sound) -> None:
    """Otherwise the tests beside this one would prove less than they say."""
    orders, inventory = [await asyncpg.connect(sound.dsns[name]) for name in ("order", "inventory")]
    try:
        states = {row[0] for row in await orders.fetch("SELECT state FROM orders")}
        ends = {row[0] for row in await inventory.fetch("SELECT state FROM reservations")}
    finally:
        await orders.close()
        await inventory.close()
    assert states == {"CONFIRMED", "REJECTED", "CANCELLED"}
    assert ends == {"CONFIRMED", "RELEASED", "RETURNED", "EXPIRED", "REJECTED", "VOIDED"}


async def test_an_idle_shop_is_quiet_at_once(sound: Sound) -> None:
    """Not after the time that one would wait at most."""
    assert await wait_for_quiet(sound.target(), timeout_seconds=600) < 600


async def test_mail_to_another_server_is_not_checked(sound: Sound, tmp_path: Path) -> None:
    """Without a folder, only the rows say what was sent."""
    for path in tmp_path.iterdir():
        path.unlink()
    assert not (await sound.checked()).holds
    elsewhere = Sound(sound.dsns, None)
    assert (await elsewhere.checked()).holds

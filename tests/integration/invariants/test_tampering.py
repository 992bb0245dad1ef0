"""Invariant checks of tampered databases: exactly the violated invariants are reported."""

from pathlib import Path

import asyncpg
import pytest

from observability.invariants.target import InvariantChecks
from services.infra.idempotency import first_form
from services.order.api import OrderLine, PlaceOrder
from tests.full import in_full
from tests.integration.invariants.conftest import Sound
from tests.integration.invariants.event_tamperings import EFFECTS, LOG, PROJECTIONS
from tests.integration.invariants.keeping import tamper
from tests.integration.invariants.order_tamperings import ORDERS, RESERVATIONS, STOCK
from tests.integration.invariants.tampering import FROM_SOLD, SOLD, Tampering


def broken(checked: InvariantChecks) -> str:
    """Return the names of the invariants that do not hold."""
    return " ".join(check.name for check in checked.checks if check.violation_count)


TAMPERINGS = (*STOCK, *ORDERS, *RESERVATIONS, *LOG, *PROJECTIONS, *EFFECTS)
# `make test` has one for each combination of invariants that can break.
ONE_OF_EACH = {tampering.breaks: tampering for tampering in TAMPERINGS}.values()


@pytest.mark.parametrize(
    "tampering",
    [*ONE_OF_EACH, *in_full(*(each for each in TAMPERINGS if each not in ONE_OF_EACH))],
    ids=lambda tampering: tampering.name,
)
async def test_a_shop_that_was_tampered_with_does_not_hold(sound: Sound, tampering: Tampering) -> None:
    """At rest always; under load unless it could have come of the work itself."""
    await tamper(sound.dsns[tampering.database], *tampering.statements)
    checked = await sound.checked()
    assert not checked.holds
    assert broken(checked) == tampering.breaks, checked.sentences()
    assert any(tampering.says in sentence for sentence in checked.sentences()), checked.sentences()
    under_load = await sound.checked(quiet=False)
    assert broken(under_load) == (tampering.breaks if tampering.under_load else ""), under_load.sentences()


async def test_an_item_that_is_oversold_in_spite_of_its_constraint(sound: Sound) -> None:
    """A database that was restored without its constraints."""
    constraint = "CONSTRAINT items_available_check"
    oversell = "UPDATE items SET reserved = on_hand + 1 WHERE sku = 'A'"
    await tamper(sound.dsns["inventory"], f"ALTER TABLE items DROP {constraint}", oversell)
    try:
        checked = await sound.checked()
    finally:
        again = f"ALTER TABLE items ADD {constraint} CHECK (available >= 0)"
        await tamper(sound.dsns["inventory"], "UPDATE items SET reserved = 0", again)
    assert broken(checked) == "I1"
    assert "it is oversold: sku A" in checked.sentences()[1]


async def test_an_order_in_flight_for_too_long(sound: Sound) -> None:
    """Under load it is given two minutes."""
    cancel = f"UPDATE orders SET cancellation_requested = true, update_time = now() WHERE order_id = {SOLD}"
    drive = f"INSERT INTO sagas (order_id, due_time, logical_shard) SELECT order_id, now(), logical_shard {FROM_SOLD}"
    await tamper(sound.dsns["order"], cancel, drive)
    assert broken(await sound.checked()) == "I3 I7"
    assert broken(await sound.checked(quiet=False)) == "I7"
    await tamper(sound.dsns["order"], "UPDATE orders SET update_time = update_time - interval '121 seconds'")
    i3 = (await sound.checked(quiet=False)).checks[2]
    assert i3.violation_count == 1
    assert "it has been in progress for more than 120 s" in i3.violations[0]


async def test_an_order_placed_by_two_keys_is_a_doubled_order(sound: Sound) -> None:
    """A second request that was answered with an order of another one."""
    connection = await asyncpg.connect(sound.dsns["order"])
    try:
        select = f"""
            SELECT order_id, customer_id, sku, quantity FROM orders JOIN order_lines USING (order_id)
            WHERE order_id = {SOLD} ORDER BY line_number"""
        rows = await connection.fetch(select)
        order_id, customer_id = rows[0]["order_id"], rows[0]["customer_id"]
        lines = tuple(OrderLine(row["sku"], row["quantity"]) for row in rows)
        insert = """
            INSERT INTO idempotency_keys (scope, request_id, digest, resource_id, logical_shard)
            SELECT $1, 'another', $2, $3, logical_shard FROM orders WHERE order_id = $3"""
        again = first_form(PlaceOrder("another", customer_id, lines))
        await connection.execute(insert, str(customer_id), again, order_id)
    finally:
        await connection.close()
    checked = await sound.checked()
    assert (broken(checked), checked.sentences()) == ("I2", [f"I2: order {order_id} was placed by 2 keys"])


async def test_a_missing_or_stray_file_is_reported(sound: Sound, tmp_path: Path) -> None:
    """Each by its name; a draft that a killed sender left is neither."""
    lost = next(tmp_path.glob("*.eml"))
    lost.unlink()
    (tmp_path / "stray.eml").touch()
    (tmp_path / "left.eml.x1.draft").touch()
    for quiet in (True, False):
        checked = await sound.checked(quiet=quiet)
        assert broken(checked) == "I8"
        assert len(checked.sentences()) == 2
        assert "file stray.eml is of no notification" in checked.sentences()[1]
        assert f"{lost.stem} was sent and its file is not there" in checked.sentences()[0]


async def test_all_violations_are_counted_and_the_first_printed(sound: Sound) -> None:
    """Ten of them, however many there are."""
    await tamper(
        sound.dsns["inventory"],
        """INSERT INTO stock_ledger (sku, kind, quantity, cause)
        SELECT 'X' || number, 'RESTOCKED', 1, '' FROM generate_series(1, 50) number""",
    )
    i1 = (await sound.checked()).checks[0]
    assert (len(i1.violations), i1.violation_count) == (10, 50)

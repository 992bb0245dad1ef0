"""Digests of commands: stored ones stay valid whatever fields a command gets later."""

from collections.abc import Mapping
from dataclasses import field, fields, make_dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from services.infra.idempotency import first_form, matches
from services.inventory import api as inventory
from services.kernel.errors import Unavailable
from services.kernel.money import Money
from services.order import api as order

ID = UUID("6f2b54ae-5f0e-4c3a-9d0a-0f5c2d6e7b81")
CUSTOMER_ID = UUID("0b1c6f0e-41f7-4d0c-8a53-6a4a6ed0a1b2")
LINES = (order.OrderLine("85123A", 6), order.OrderLine("71053", 1))
# A command of each kind that is stored; those that differ only in a field with a default stand beside each other.
PLACE_ORDER = order.PlaceOrder("key-1", CUSTOMER_ID, LINES)
COMMANDS: Mapping[str, Any] = {
    "place_order": PLACE_ORDER,
    "cancel_order": order.CancelOrder("key-2", CUSTOMER_ID, ID),
    "reserve_stock": inventory.ReserveStock(f"{ID}:reserve", ID, (inventory.StockLine("85123A", 6),)),
    "confirm_reservation": inventory.ConfirmReservation(f"{ID}:confirm", ID),
    "release_reservation": inventory.ReleaseReservation(f"{ID}:release", ID),
    "return_stock": inventory.ReturnStock(f"{ID}:return", ID),
    "restock": inventory.Restock("key-3", (inventory.Delivery("85123A", 10),)),
    "restock_priced": inventory.Restock("key-3", (inventory.Delivery("85123A", 10, Money("GBP", 255)),)),
}
# Written by the first version that stored digests, and never again: rows with them are in databases.
GOLDEN = orjson.loads((Path(__file__).parent / "golden/digests.json").read_bytes())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_stored_digest_is_that_of_its_command_for_ever(name: str) -> None:
    assert matches(bytes.fromhex(GOLDEN[name]), COMMANDS[name])
    assert first_form(COMMANDS[name]).hex() == GOLDEN[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_new_field_that_has_its_default_changes_no_digest(name: str) -> None:
    """As of a client that was built before there was the field; with another value it is another command."""
    later, command = with_more_fields(COMMANDS[name]), COMMANDS[name]
    values = {each.name: getattr(command, each.name) for each in fields(command)}
    assert matches(bytes.fromhex(GOLDEN[name]), later(**values))
    assert not matches(bytes.fromhex(GOLDEN[name]), later(**values, gift_wrap=True))


def test_a_new_field_of_a_line_changes_no_digest() -> None:
    """What stands in a command is digested as the command is."""
    later = with_more_fields(LINES[0])
    command = replace(PLACE_ORDER, lines=tuple(later(line.sku, line.quantity) for line in LINES))
    assert matches(bytes.fromhex(GOLDEN["place_order"]), command)


def test_answer_preferences_are_no_part_of_a_digest() -> None:
    willing = replace(PLACE_ORDER, respond_async=True)
    assert matches(bytes.fromhex(GOLDEN["place_order"]), willing)


def test_another_content_is_another_digest() -> None:
    digests = {first_form(command) for command in COMMANDS.values()}
    assert len(digests) == len(COMMANDS)


def test_a_form_of_a_newer_version_is_no_reuse() -> None:
    """Happens during a rolling update: only the newer version can answer."""
    with pytest.raises(Unavailable):
        matches(b"\x02" + bytes(32), PLACE_ORDER)


def with_more_fields(value: object) -> type[Any]:
    """Return the class of a value as a later version may have it: with a field more, which has a default."""
    kind = type(value)
    later = make_dataclass(kind.__name__, [("gift_wrap", bool, field(default=False))], bases=(kind,), frozen=True)
    assert later.__name__ == kind.__name__
    return later

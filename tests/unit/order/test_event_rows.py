"""Every schema version of every event stays readable; the golden rows have an example of each."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.kernel.money import Money
from services.order.adapters.event_rows import TYPES, UPCASTERS, event_of, store, upcast
from services.order.api import OrderLine, Rejection, Shortage
from services.order.domain.events import CancellationRequested, Cancelled, Completed, Event, Placed, Rejected

ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "golden" / "rows.json").read_text())
COMPLETED = Completed((Money("GBP", 255), Money("GBP", 95)), Money("GBP", 605))
EVENTS: dict[tuple[str, int], Event] = {
    ("order.placed", 1): Placed(
        UUID("6f1d8b1e-3c1c-4a52-9f0e-2f6c1f0a7b11"), (OrderLine("85123A", 2), OrderLine("10001", 1))
    ),
    ("order.completed", 1): COMPLETED,
    ("order.completed", 2): COMPLETED,
    ("order.rejected", 1): Rejected(Rejection("OUT_OF_STOCK", shortages=(Shortage("85123A", 2, 1),))),
    ("order.cancellation_requested", 1): CancellationRequested(),
    ("order.cancelled", 1): Cancelled(),
}


def key(row: dict[str, Any]) -> tuple[str, int]:
    """Return the type and schema version of a row."""
    return row["type"], row["schema_version"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, key(row))))
def test_a_golden_row_is_read_as_the_event_it_was(row: dict[str, Any]) -> None:
    """In its own form or an upcast one."""
    assert event_of(row["type"], upcast(*key(row), row["data"])) == EVENTS[key(row)]


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: type(event).__name__)
def test_an_event_is_stored_as_its_latest_golden_row(event: Event) -> None:
    """A change of form needs a new version, an upcaster and a new golden row."""
    stored = store(event)
    (row,) = [row for row in ROWS if key(row) == (stored.type, stored.schema_version)]
    assert json.loads(stored.data) == row["data"]


def test_every_form_has_a_golden_row() -> None:
    """The latest of each type, and each that an upcaster takes."""
    assert {key(row) for row in ROWS} == set(TYPES.values()) | set(UPCASTERS)


def test_an_upcaster_does_not_change_its_input() -> None:
    """It is pure: a row that is read twice is read alike."""
    for row in ROWS:
        before = json.dumps(row["data"])
        upcast(*key(row), row["data"])
        assert json.dumps(row["data"]) == before


def test_an_event_of_unknown_type_is_refused() -> None:
    """It is not skipped: without it, the fold would be another order."""
    with pytest.raises(ValueError, match=r"order\.shipped"):
        event_of("order.shipped", {})

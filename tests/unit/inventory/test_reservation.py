"""The state machine of a reservation: it leaves PENDING once, and its movements of stock add up."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.inventory.api import InventoryError, Reservation, ReservationState, ReservedLine, StockLevel, StockLine
from services.inventory.domain.reservation import SET_ASIDE, Step, confirm, decide, expire, release, return_sold
from services.kernel.money import Money

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRICE = Money("GBP", 250)
STEPS: dict[str, Callable[[Reservation], Step | None]] = {
    "confirm in time": lambda reservation: confirm(reservation, now=NOW),
    "confirm late": lambda reservation: confirm(reservation, now=NOW + timedelta(minutes=2)),
    "expire": expire,
    "release": release,
    "return": return_sold,
}


def levels(**available: int) -> dict[str, StockLevel]:
    """Return levels with these units on hand and none reserved."""
    return {sku: StockLevel(sku, units, 0, PRICE) for sku, units in available.items()}


@given(st.dictionaries(st.sampled_from("ABCDE"), st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1))
def test_all_lines_are_reserved_or_none(wishes: dict[str, tuple[int, int]]) -> None:
    """All when every SKU has enough units; a rejection names each SKU that has not."""
    lines = tuple(StockLine(sku, wanted) for sku, (wanted, _) in wishes.items())
    decision = decide(uuid4(), lines, levels(**{sku: there for sku, (_, there) in wishes.items()}))
    short = [sku for sku, (wanted, there) in wishes.items() if there < wanted]
    assert [shortage.sku for shortage in decision.shortages] == short
    assert decision.state is (ReservationState.REJECTED if short else ReservationState.PENDING)
    assert all((line.unit_price is None) == bool(short) for line in decision.lines)


def test_an_unknown_sku_outranks_a_shortage() -> None:
    """Shortages are not computed then."""
    decision = decide(uuid4(), (StockLine("A", 5), StockLine("X", 1)), levels(A=1))
    assert (decision.unknown_skus, decision.shortages) == (("X",), ())


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12))
def test_the_stock_adds_up_after_any_steps(steps: list[str]) -> None:
    """One unit is reserved, sold or available, never two of them; PENDING is left once."""
    line = ReservedLine("A", 1, PRICE)
    reservation = Reservation(uuid4(), ReservationState.PENDING, (line,), NOW, NOW + timedelta(minutes=1))
    on_hand, reserved, left_pending = 1, SET_ASIDE.reserved, 0
    for name in steps:
        try:
            step = STEPS[name](reservation)
        except InventoryError:
            continue
        if step is None:
            continue
        left_pending += reservation.state is ReservationState.PENDING
        reservation = replace(reservation, state=step.state)
        assert step.movement is not None
        on_hand += step.movement.on_hand
        reserved += step.movement.reserved
        assert 0 <= reserved <= on_hand <= 1
    assert left_pending <= 1
    assert reserved == (reservation.state is ReservationState.PENDING)
    assert on_hand == (reservation.state is not ReservationState.CONFIRMED)

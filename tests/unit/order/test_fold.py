"""An order is the fold of its events, and accepts only valid changes."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.kernel.money import Money
from services.order.api import OrderLine, OrderNotCancellable, OrderState, Rejection
from services.order.domain.events import Cancelled, Event, Placed, RecordedEvent
from services.order.domain.order import Change, Order, fold

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PRICES = {"A": Money("GBP", 250), "B": Money("GBP", 100)}


def placed() -> Change:
    """Return a new order of two lines."""
    lines = (OrderLine("A", 2), OrderLine("B", 1))
    return Order.place(order_id=uuid4(), customer_id=uuid4(), lines=lines, at=NOW)


def recorded(changes: list[Change]) -> list[RecordedEvent]:
    """Return the stored events of some changes."""
    return [RecordedEvent(change.order.version, change.event, change.order.update_time) for change in changes]


def test_the_fold_of_a_history_is_the_order_it_made() -> None:
    """Through a sale and its cancellation."""
    changes = [placed()]
    changes.append(changes[-1].order.complete(PRICES, at=NOW + timedelta(seconds=1)))
    requested = changes[-1].order.request_cancellation(at=NOW + timedelta(seconds=2))
    assert requested is not None
    changes.append(requested)
    changes.append(requested.order.cancel(at=NOW + timedelta(seconds=3)))
    order = changes[-1].order
    assert fold(order.order_id, recorded(changes)) == order
    assert (order.state, order.version, order.total) == (OrderState.CANCELLED, 4, Money("GBP", 600))


@pytest.mark.parametrize("versions", [[2], [1, 3], [1, 1], [2, 1]])
def test_a_history_with_a_gap_is_refused(versions: list[int]) -> None:
    """Or out of order, or with a version twice."""
    events: list[Event] = [placed().event, Cancelled()]
    history = [RecordedEvent(version, event, NOW) for version, event in zip(versions, events, strict=False)]
    with pytest.raises(ValueError, match="incomplete"):
        fold(uuid4(), history)


def test_a_history_begins_with_the_placing_and_has_it_once() -> None:
    with pytest.raises(ValueError, match="incomplete"):
        fold(uuid4(), [RecordedEvent(1, Cancelled(), NOW)])
    first = placed().event
    assert isinstance(first, Placed)
    with pytest.raises(ValueError, match="once"):
        fold(uuid4(), [RecordedEvent(1, first, NOW), RecordedEvent(2, first, NOW)])


def test_an_order_is_quiescent_when_settled_and_not_cancelling() -> None:
    """A sale is at rest until its cancellation is requested, and again when it is cancelled."""
    order = placed().order
    sale = order.complete(PRICES, at=NOW).order
    requested = sale.request_cancellation(at=NOW)
    assert requested is not None
    cancelled = requested.order.cancel(at=NOW).order
    assert [step.is_at_rest for step in (order, sale, requested.order, cancelled)] == [False, True, False, True]


def test_a_cancellation_is_requested_once() -> None:
    """A repeat, and one of a cancelled order, changes nothing; a rejected order refuses it."""
    requested = placed().order.request_cancellation(at=NOW)
    assert requested is not None
    assert requested.order.request_cancellation(at=NOW) is None
    assert requested.order.cancel(at=NOW).order.request_cancellation(at=NOW) is None
    with pytest.raises(OrderNotCancellable):
        placed().order.reject(Rejection("OUT_OF_STOCK"), at=NOW).order.request_cancellation(at=NOW)

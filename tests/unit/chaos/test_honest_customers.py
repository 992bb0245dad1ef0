"""Tests of the abuse campaign's customers: how long they repeat a request."""

import pytest

from observability.chaos import honest_customers
from observability.chaos.consistency_checker import check_outcomes_known
from observability.chaos.history import History
from observability.chaos.honest_customers import MOST_REPEATING_SECONDS, HonestCustomers
from observability.testbed.requests import ApiName, Listing, PlaceRequest, Request, RequestedLine, Response

PLACE = PlaceRequest("honest-1", "customer", (RequestedLine("A", 1),))


class TimedHistory(History):
    """A history whose clock stands still unless the test moves it."""

    now_seconds = 0.0

    def seconds(self) -> float:
        """Return what the test has set."""
        return self.now_seconds


class SilentEdge:
    """An edge that takes a part of the time limit for each answer, and leaves every outcome unknown."""

    name = ApiName.REST

    def __init__(self, history: TimedHistory) -> None:
        self._history = history

    async def send(self, _request: Request, *, seconds: float = 0.0) -> Response:
        """Return an unknown outcome."""
        self._history.now_seconds += 0.4 * MOST_REPEATING_SECONDS
        return Response(known=False, reason=f"nothing within {seconds} s")

    async def find_in_list(self, _customer_id: str, _answer: Response, *, seconds: float = 0.0) -> Listing:
        """Fail, since the test reads no list."""
        raise AssertionError(seconds)


async def test_an_outcome_unknown_until_the_end_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is repeated until the time limit, which the third answer exceeds."""
    monkeypatch.setattr(honest_customers, "REPEAT_SECONDS", 0.0)
    history = TimedHistory()
    customers = HonestCustomers(edge=SilentEdge(history), history=history, rate_per_second=1.0, seed=1)
    await customers.until_known(PLACE)
    assert len(history.exchanges) == 3
    assert list(check_outcomes_known(history.exchanges, {}))

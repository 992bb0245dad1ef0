"""Tests of the abuse campaign's customers: how long they repeat a request."""

import pytest

from observability.chaos import honest_customers
from observability.chaos.consistency_checker import check_outcomes_known
from observability.chaos.history import History
from observability.chaos.honest_customers import HonestCustomers
from observability.testbed.requests import ApiName, Listing, PlaceRequest, Request, RequestedLine, Response

PLACE = PlaceRequest("honest-1", "customer", (RequestedLine("A", 1),))


class SilentEdge:
    """An edge whose answers leave every outcome unknown."""

    name = ApiName.REST

    def __init__(self) -> None:
        self.asked = 0

    async def send(self, _request: Request, *, seconds: float = 0.0) -> Response:
        """Return an unknown outcome."""
        self.asked += 1
        return Response(known=False, reason=f"nothing within {seconds} s")

    async def find_in_list(self, _customer_id: str, _answer: Response, *, seconds: float = 0.0) -> Listing:
        """Fail, since the test reads no list."""
        raise AssertionError(seconds)


async def test_an_outcome_unknown_until_the_end_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(honest_customers, "REPEAT_SECONDS", 0.001)
    monkeypatch.setattr(honest_customers, "MOST_REPEATING_SECONDS", 0.05)
    edge, history = SilentEdge(), History()
    customers = HonestCustomers(edge=edge, history=history, rate_per_second=1.0, seed=1)
    await customers.until_known(PLACE)
    assert edge.asked == len(history.exchanges) > 1
    assert list(check_outcomes_known(history.exchanges, {}))

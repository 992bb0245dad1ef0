"""Honest customers of the abuse campaign: orders in an open loop, and the share of them that is sold in time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from uuid import UUID

from observability.chaos.history import History
from observability.load.orders import stream
from observability.testbed.api_clients import ApiClient
from observability.testbed.requests import PlaceRequest, RequestedLine, Response

SKUS = tuple(f"HONEST{number}" for number in range(20))
# An order is good when it is sold within the edge's own deadline.
GOOD_SECONDS = 2.0
REPEAT_SECONDS = 1.0
# From the first attempt on. Every attack and its effects are over by then.
MOST_REPEATING_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class HonestOrder:
    """One order.

    due_seconds: when it was due, on the clock of the history.
    latency_seconds: from then to its first answer.
    answer: the first answer.
    """

    due_seconds: float
    latency_seconds: float
    answer: Response

    @property
    def good(self) -> bool:
        """True if it was sold in time."""
        return self.answer.state == "CONFIRMED" and self.latency_seconds <= GOOD_SECONDS


class HonestCustomers:
    """Orders in an open loop over the REST edge, recorded in the history; unknown outcomes are repeated for a time."""

    def __init__(self, *, edge: ApiClient, history: History, rate_per_second: float, seed: int) -> None:
        self.orders: list[HonestOrder] = []
        self._edge = edge
        self._history = history
        self._rate_per_second = rate_per_second
        self._chance = stream(seed, "honest orders")
        self._stopped = False

    @asynccontextmanager
    async def ordering(self) -> AsyncIterator[None]:
        """Send orders during a with block, then wait until each outcome is known or given up."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._order_all(tasks))
            yield
            self._stopped = True

    async def _order_all(self, tasks: asyncio.TaskGroup) -> None:
        due_seconds = self._history.seconds()
        for number in count():
            due_seconds += self._chance.expovariate(self._rate_per_second)
            await asyncio.sleep(due_seconds - self._history.seconds())
            if self._stopped:
                return
            lines = tuple(RequestedLine(sku, 1) for sku in self._chance.sample(SKUS, self._chance.randint(1, 3)))
            customer_id = str(UUID(int=1000 + number, version=4))
            tasks.create_task(self._order(PlaceRequest(f"honest-{number}", customer_id, lines), due_seconds))

    async def _order(self, request: PlaceRequest, due_seconds: float) -> None:
        answer = await self._ask(request)
        self.orders.append(HonestOrder(due_seconds, self._history.seconds() - due_seconds, answer))
        await self.until_known(request, answer)

    async def until_known(self, request: PlaceRequest, answer: Response | None = None) -> None:
        """Repeat a request under its key until its outcome is known, for at most two minutes.

        An outcome that is still unknown is a violation in the campaign's report.
        """
        ends = self._history.seconds() + MOST_REPEATING_SECONDS
        while answer is None or not answer.known:
            if answer is not None:
                await asyncio.sleep(REPEAT_SECONDS)
            if self._history.seconds() >= ends:
                return
            answer = await self._ask(request)

    async def _ask(self, request: PlaceRequest) -> Response:
        sent_seconds = self._history.seconds()
        answer = await self._edge.send(request)
        self._history.record(request, self._edge.name, sent_seconds, answer)
        return answer


def goodput(orders: Sequence[HonestOrder]) -> float:
    """Return the share of orders that were sold in time."""
    return sum(each.good for each in orders) / len(orders) if orders else 0.0

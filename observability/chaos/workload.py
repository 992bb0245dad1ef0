"""Traffic of a campaign: a few customers who all want the same few SKUs, and never give up.

Each request keeps its id until its outcome is known; some are sent twice at once by both edges, some again later.
What a client wishes comes from the seed; when it comes to it depends on how the shop answers.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from observability.chaos.history import Delivered, History
from observability.load.orders import stream
from observability.testbed.api_clients import ATTEMPT_SECONDS, UNKNOWN_KINDS, Edge
from observability.testbed.requests import CancelRequest, PlaceRequest, ReadRequest, Request, RequestedLine, Response
from services.infra import deadline
from services.inventory import api as inventory
from services.kernel.errors import ServiceError
from services.kernel.money import Money

Result = TypeVar("Result")

CUSTOMERS = 4
SKUS = tuple(f"HOT{number}" for number in range(6))
NO_SKU = "NOWHERE"
FIRST_DELIVERY = 20
TOO_MANY = 5_000
UNIT_PRICE = Money("GBP", 255)
# It can be reserved, but with other goods it makes no sale: its price is in another currency.
FOREIGN_SKU = "ABROAD"
FOREIGN_PRICE = Money("EUR", 300)
# An order that is cancelled, read or repeated is one of its customer's last few: the ones that are still under way.
REMEMBERED = 12
CALL_SECONDS = 3.0
PAUSE_SECONDS = (0.03, 0.25)
# Some go away before they are answered, and some ask again so late that the shop has to finish by itself.
HURRIED_SHARE = 0.15
HURRIED_SECONDS = (0.11, 0.14)  # the client itself keeps a tenth back
PATIENT_SHARE = 0.25
PATIENT_SECONDS = (1.0, 2.5)


@dataclass(frozen=True, slots=True)
class TrafficOptions:
    """How much is asked: clients, each thinking for a while after an outcome; after the end they finish in time."""

    seed: int
    clients: int = 10
    think_seconds: float = 0.15
    finish_seconds: float = 60.0


class Traffic:
    """The customers of one round. `run` goes on until `stop`, and then until every outcome is known."""

    def __init__(
        self, options: TrafficOptions, *, edges: Sequence[Edge], stock: inventory.InventoryService, history: History
    ) -> None:
        self._options = options
        self._edges = edges
        self._stock = stock
        self._history = history
        self._stopping = asyncio.Event()
        self._give_up_at: float | None = None
        self._orders: dict[str, list[str]] = defaultdict(list)
        # Apart from the wishes, so that a repeat more or less changes none of them.
        self._pauses = stream(options.seed, "pauses")

    async def stock_up(self) -> None:
        """Bring the first goods, with their prices."""
        await self._deliver(f"first-{self._options.seed}", dict.fromkeys((*SKUS, FOREIGN_SKU), FIRST_DELIVERY))

    async def run(self) -> None:
        """Ask, all clients at once."""
        async with asyncio.TaskGroup() as clients:
            for number in range(self._options.clients):
                clients.create_task(self._client(number), name=f"client-{number}")

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Ask for the time of a block, then until every outcome is known."""
        running = asyncio.create_task(self.run(), name="traffic")
        try:
            yield
            self.stop()
            await running
        finally:
            running.cancel()
            await asyncio.wait({running})

    def stop(self) -> None:
        """Wish for nothing more; what was begun has a while to become known."""
        self._give_up_at = self._history.seconds() + self._options.finish_seconds
        self._stopping.set()

    async def _client(self, number: int) -> None:
        generator = stream(self._options.seed, f"client {number}")
        customer_id = str(UUID(int=number % CUSTOMERS + 1, version=4))
        wishes = (self._place, self._cancel, self._reserve, self._restock, self._read)
        count = 0
        while not self._stopping.is_set():
            (wish,) = generator.choices(wishes, weights=(50, 24, 10, 5, 11))
            count += 1
            await wish(generator, customer_id, f"{self._options.seed}-{number}-{count}")
            await self._pause(generator.expovariate(1 / self._options.think_seconds))

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than the traffic goes on."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _place(self, generator: random.Random, customer_id: str, key: str) -> None:
        request = PlaceRequest(f"place-{key}", customer_id, draw_lines(generator))
        first, other = generator.sample(self._edges, 2)
        if generator.random() < 0.25:
            answers = await asyncio.gather(*(self._until_known(request, edge) for edge in (first, other)))
        else:
            answers = [await self._until_known(request, first)]
        own = self._orders[customer_id]
        own.extend({answer.order_id for answer in answers if answer.order_id})
        del own[:-REMEMBERED]
        if generator.random() < 0.15:
            await self._until_known(request, other)
        if generator.random() < 0.25 and (answer := answers[0]).consistency_token:
            self._history.listings.append(await other.find_in_list(customer_id, answer))

    async def _cancel(self, generator: random.Random, customer_id: str, key: str) -> None:
        if own := self._orders[customer_id]:
            request = CancelRequest(f"cancel-{key}", customer_id, generator.choice(own))
            first, other = generator.sample(self._edges, 2)
            edges = (first, other) if generator.random() < 0.2 else (first,)
            await asyncio.gather(*(self._until_known(request, edge) for edge in edges))

    async def _read(self, generator: random.Random, customer_id: str, key: str) -> None:
        if own := self._orders[customer_id]:
            request = ReadRequest(f"read-{key}", customer_id, generator.choice(own))
            await self._until_known(request, generator.choice(self._edges))

    async def _until_known(self, request: Request, edge: Edge) -> Response:
        """Repeat under the same id, by the same edge, until there is an answer or the time to finish is over."""
        seconds = self._pauses.uniform(*HURRIED_SECONDS) if self._pauses.random() < HURRIED_SHARE else ATTEMPT_SECONDS
        while True:
            sent_seconds = self._history.seconds()
            answer = await edge.send(request, seconds=seconds)
            seconds = ATTEMPT_SECONDS
            self._history.record(request, edge.name, sent_seconds, answer)
            if answer.known or self._is_over():
                return answer
            patient = self._pauses.random() < PATIENT_SHARE and not self._stopping.is_set()
            await asyncio.sleep(self._pauses.uniform(*(PATIENT_SECONDS if patient else PAUSE_SECONDS)))

    async def _reserve(self, generator: random.Random, _customer_id: str, key: str) -> None:
        """Set stock aside for no order, and give it back: in time, never, or before it was set aside."""
        reservation_id = UUID(int=generator.getrandbits(128), version=4)
        self._history.noise_ids.add(reservation_id)
        lines = tuple(inventory.StockLine(line.sku, line.quantity) for line in draw_lines(generator))
        reserve = inventory.ReserveStock(f"noise-{key}:reserve", reservation_id, lines)
        release = inventory.ReleaseReservation(f"noise-{key}:release", reservation_id)
        match generator.choice(("released", "forgotten", "voided")):
            case "released":
                await self._know("noise reserved", lambda: self._stock.reserve_stock(reserve))
                await self._know("noise released", lambda: self._stock.release_reservation(release))
            case "forgotten":
                await self._know("noise reserved", lambda: self._stock.reserve_stock(reserve))
            case _:
                await self._know("noise voided", lambda: self._stock.release_reservation(release))
                await self._know("noise reserved", lambda: self._stock.reserve_stock(reserve))

    async def _restock(self, generator: random.Random, _customer_id: str, key: str) -> None:
        skus = generator.sample(SKUS, generator.randint(1, 2))
        await self._deliver(f"restock-{key}", {sku: generator.randint(3, 12) for sku in skus})

    async def _deliver(self, request_id: str, quantities: dict[str, int]) -> None:
        prices = {FOREIGN_SKU: FOREIGN_PRICE}
        lines = tuple(
            inventory.Delivery(sku, quantity, prices.get(sku, UNIT_PRICE)) for sku, quantity in quantities.items()
        )
        command = inventory.Restock(request_id, lines)
        # Kept before it is known: one whose outcome stays unknown shows as a delivery that is missing.
        self._history.deliveries.extend(Delivered(request_id, sku, number) for sku, number in quantities.items())
        await self._know("restocked", lambda: self._stock.restock(command))

    async def _know(self, what: str, call: Callable[[], Awaitable[Result]]) -> None:
        """Repeat a call to inventory until its outcome is known; a refusal is one."""
        while not self._is_over():
            try:
                with deadline.within(CALL_SECONDS):
                    await call()
                self._history.noise[what] += 1
                return
            except ServiceError as error:
                self._history.noise[f"{what}: {error.reason}"] += 1
                if error.kind not in UNKNOWN_KINDS:
                    return
            await asyncio.sleep(self._pauses.uniform(*PAUSE_SECONDS))

    def _is_over(self) -> bool:
        return self._give_up_at is not None and self._history.seconds() > self._give_up_at


def draw_lines(generator: random.Random) -> tuple[RequestedLine, ...]:
    """Draw what somebody wants: mostly a little of what is there, now and then too much, or what cannot be sold."""
    skus = generator.sample(SKUS, generator.choices((1, 2, 3), weights=(5, 3, 2))[0])
    lines = [RequestedLine(sku, generator.randint(1, 3)) for sku in skus]
    chance = generator.random()
    if chance < 0.03:
        lines.append(RequestedLine(NO_SKU, 1))
    elif chance < 0.08:
        lines[0] = RequestedLine(lines[0].sku, TOO_MANY)
    elif chance < 0.14:
        lines.append(RequestedLine(FOREIGN_SKU, 1))
    return tuple(lines)

"""Workload of a campaign: a few customers who order the same few SKUs and repeat until each outcome is known.

A request keeps its id until its outcome is known. Some are sent twice at once, over both APIs; some again later. The
seed fixes what a client requests; the time depends on the shop's answers.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

from observability.chaos.history import Delivered, History
from observability.load.orders import stream
from observability.testbed.api_clients import ATTEMPT_SECONDS, UNKNOWN_KINDS, ApiClient
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
# It can be reserved but not sold together with other goods: its price is in another currency.
FOREIGN_SKU = "ABROAD"
FOREIGN_PRICE = Money("EUR", 300)
# Cancellations and reads are about one of the customer's last orders, which may still be in progress.
REMEMBERED = 12
TOKEN_SHARE = 0.75
CALL_SECONDS = 3.0
PAUSE_SECONDS = (0.03, 0.25)
# Some clients disconnect before the answer, and some repeat so late that the shop has to finish without them.
HURRIED_SHARE = 0.15
HURRIED_SECONDS = (0.11, 0.14)  # the client itself reserves a tenth of its timeout
PATIENT_SHARE = 0.25
PATIENT_SECONDS = (1.0, 2.5)


@dataclass(frozen=True, slots=True)
class WorkloadOptions:
    """Options of the workload.

    seed: fixes the requests.
    clients: concurrent clients.
    think_seconds: mean pause of a client after an outcome.
    finish_seconds: how long open requests are repeated after the stop.
    has_replicas: replicas may answer reads.
    """

    seed: int
    has_replicas: bool = False
    clients: int = 10
    think_seconds: float = 0.15
    finish_seconds: float = 60.0


class Workload:
    """The customers of one round. `run` sends until `stop`, and then waits until every outcome is known."""

    def __init__(
        self,
        options: WorkloadOptions,
        *,
        apis: Sequence[ApiClient],
        stock: inventory.InventoryService,
        history: History,
    ) -> None:
        self._options = options
        self._apis = apis
        self._stock = stock
        self._history = history
        self._stopping = asyncio.Event()
        self._give_up_at: float | None = None
        # The newest answer about each order that a customer remembers.
        self._orders: dict[str, dict[str, Response]] = defaultdict(dict)
        # A stream of its own, so that a repeat more or less does not change the requests.
        self._pauses = stream(options.seed, "pauses")

    async def stock_up(self) -> None:
        """Deliver the first stock, with prices."""
        await self._deliver(f"first-{self._options.seed}", dict.fromkeys((*SKUS, FOREIGN_SKU), FIRST_DELIVERY))

    async def run(self) -> None:
        """Run all clients."""
        async with asyncio.TaskGroup() as clients:
            for number in range(self._options.clients):
                clients.create_task(self._client(number), name=f"client-{number}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run all clients during a with block, then wait until every outcome is known."""
        running = asyncio.create_task(self.run(), name="traffic")
        try:
            yield
            self.stop()
            await running
        finally:
            running.cancel()
            await asyncio.wait({running})

    def stop(self) -> None:
        """Send no new requests; repeat open ones for at most `finish_seconds`."""
        self._give_up_at = self._history.seconds() + self._options.finish_seconds
        self._stopping.set()

    async def _client(self, number: int) -> None:
        generator = stream(self._options.seed, f"client {number}")
        customer_id = str(UUID(int=number % CUSTOMERS + 1, version=4))
        actions = (self._place, self._cancel, self._reserve, self._restock, self._read)
        count = 0
        while not self._stopping.is_set():
            (action,) = generator.choices(actions, weights=(50, 24, 10, 5, 11))
            count += 1
            await action(generator, customer_id, f"{self._options.seed}-{number}-{count}")
            await self._pause(generator.expovariate(1 / self._options.think_seconds))

    async def _pause(self, seconds: float) -> None:
        """Wait for so many seconds, or until the workload stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _place(self, generator: random.Random, customer_id: str, key: str) -> None:
        request = PlaceRequest(f"place-{key}", customer_id, draw_lines(generator))
        first, other = generator.sample(self._apis, 2)
        if generator.random() < 0.25:
            answers = await asyncio.gather(*(self._until_known(request, api) for api in (first, other)))
        else:
            answers = [await self._until_known(request, first)]
        self._remember(customer_id, answers)
        if generator.random() < 0.15:
            await self._until_known(request, other)
        if generator.random() < 0.25 and (answer := answers[0]).consistency_token:
            self._history.listings.append(await other.find_in_list(customer_id, answer))

    async def _cancel(self, generator: random.Random, customer_id: str, key: str) -> None:
        if own := self._orders[customer_id]:
            request = CancelRequest(f"cancel-{key}", customer_id, generator.choice(list(own)))
            first, other = generator.sample(self._apis, 2)
            apis = (first, other) if generator.random() < 0.2 else (first,)
            self._remember(customer_id, await asyncio.gather(*(self._until_known(request, api) for api in apis)))

    async def _read(self, generator: random.Random, customer_id: str, key: str) -> None:
        if own := self._orders[customer_id]:
            seen = own[generator.choice(list(own))]
            request = ReadRequest(f"read-{key}", customer_id, seen.order_id, may_be_older=self._options.has_replicas)
            if generator.random() < TOKEN_SHARE and seen.version:
                request = replace(request, consistency_token=seen.consistency_token, seen_version=seen.version)
            self._remember(customer_id, [await self._until_known(request, generator.choice(self._apis))])

    def _remember(self, customer_id: str, answers: Iterable[Response]) -> None:
        own = self._orders[customer_id]
        for answer in answers:
            if answer.order_id:
                seen = own.get(answer.order_id, answer)
                own[answer.order_id] = max(seen, answer, key=lambda each: each.version or 0)
        for order_id in list(own)[:-REMEMBERED]:
            del own[order_id]

    async def _until_known(self, request: Request, api: ApiClient) -> Response:
        """Repeat with the same id over the same API until the outcome is known or the time to finish is over."""
        seconds = self._pauses.uniform(*HURRIED_SECONDS) if self._pauses.random() < HURRIED_SHARE else ATTEMPT_SECONDS
        while True:
            sent_seconds = self._history.seconds()
            answer = await api.send(request, seconds=seconds)
            seconds = ATTEMPT_SECONDS
            self._history.record(request, api.name, sent_seconds, answer)
            if answer.known or self._is_over():
                return answer
            patient = self._pauses.random() < PATIENT_SHARE and not self._stopping.is_set()
            await asyncio.sleep(self._pauses.uniform(*(PATIENT_SECONDS if patient else PAUSE_SECONDS)))

    async def _reserve(self, generator: random.Random, _customer_id: str, key: str) -> None:
        """Reserve stock without an order, and release it: afterwards, never, or before the reservation arrives."""
        reservation_id = UUID(int=generator.getrandbits(128), version=4)
        self._history.noise_ids.add(reservation_id)
        lines = tuple(inventory.StockLine(line.sku, line.quantity) for line in draw_lines(generator))
        reserve = inventory.ReserveStock(f"noise-{key}:reserve", reservation_id, lines)
        release = inventory.ReleaseReservation(f"noise-{key}:release", reservation_id)
        match generator.choice(("released", "forgotten", "voided")):
            case "released":
                await self._repeat_until_known("noise reserved", lambda: self._stock.reserve_stock(reserve))
                await self._repeat_until_known("noise released", lambda: self._stock.release_reservation(release))
            case "forgotten":
                await self._repeat_until_known("noise reserved", lambda: self._stock.reserve_stock(reserve))
            case _:
                await self._repeat_until_known("noise voided", lambda: self._stock.release_reservation(release))
                await self._repeat_until_known("noise reserved", lambda: self._stock.reserve_stock(reserve))

    async def _restock(self, generator: random.Random, _customer_id: str, key: str) -> None:
        skus = generator.sample(SKUS, generator.randint(1, 2))
        await self._deliver(f"restock-{key}", {sku: generator.randint(3, 12) for sku in skus})

    async def _deliver(self, request_id: str, quantities: dict[str, int]) -> None:
        prices = {FOREIGN_SKU: FOREIGN_PRICE}
        lines = tuple(
            inventory.Delivery(sku, quantity, prices.get(sku, UNIT_PRICE)) for sku, quantity in quantities.items()
        )
        command = inventory.Restock(request_id, lines)
        # Recorded before the outcome is known: one that stays unknown is reported as a lost delivery.
        self._history.deliveries.extend(Delivered(request_id, sku, number) for sku, number in quantities.items())
        await self._repeat_until_known("restocked", lambda: self._stock.restock(command))

    async def _repeat_until_known(self, what: str, call: Callable[[], Awaitable[Result]]) -> None:
        """Repeat a call to inventory until its outcome is known; a final error is one."""
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
    """Draw the lines of an order: mostly a little of the stock, sometimes too much, or what cannot be sold."""
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

"""Experiment concurrency limit: many requests wait for a few workers."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.experiments.turns import Turns
from observability.network.proxy import Delay
from observability.telemetry.telemetry import Telemetry
from services.infra.postgres import Database
from services.inventory.adapters.postgres import PostgresStock, PostgresStockTransaction
from services.order.adapters.event_store import EventStore
from services.order.adapters.postgres import PostgresOrders
from services.order.api import PlaceOrder
from services.order.domain.order import Change, Order

WORKER_SPAN = "stock_worker.run"


class WorkedStock(PostgresStock):
    """Stock whose transactions a bounded number of workers run, each observed as a span of its own."""

    def __init__(
        self, *, database: Database, reservation_ttl_seconds: float, telemetry: Telemetry, workers: int
    ) -> None:
        super().__init__(database=database, reservation_ttl_seconds=reservation_ttl_seconds)
        self._tracer = telemetry.tracer
        self._workers = Turns(workers)

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[PostgresStockTransaction]:
        """Run a with block in one transaction on a free worker."""
        async with self._workers.turn():
            with self._tracer.start_as_current_span(WORKER_SPAN, record_exception=False, set_status_on_exception=False):
                async with super().transaction(name) as transaction:
                    yield transaction


class WorkedOrders(PostgresOrders):
    """Orders whose changes a bounded number of workers store."""

    def __init__(self, *, database: Database, event_store: EventStore, workers: int) -> None:
        super().__init__(database=database, event_store=event_store)
        self._workers = Turns(workers)

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order on a free worker."""
        async with self._workers.turn():
            return await super().add(placed, command)

    async def save(self, change: Change) -> None:
        """Store the order's next event on a free worker."""
        async with self._workers.turn():
            await super().save(change)


def two_workers(telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of inventory with two workers."""
    return partial(WorkedStock, telemetry=telemetry, workers=2)


def many_workers(telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of inventory with as many workers as requests may wait for a connection."""
    return partial(WorkedStock, telemetry=telemetry, workers=64)


def two_writers(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter of orders with two workers."""
    return partial(WorkedOrders, workers=2)


def many_writers(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter of orders with as many workers as requests may wait for a connection."""
    return partial(WorkedOrders, workers=64)


# By service whose limit it is: its adapters with the low limit and the high one, and the range of the latency of its
# database in seconds. Order has fewer statements in a transaction, so its database is farther.
PLACES = {
    "inventory": ("two_workers", "many_workers", (0.006, 0.007)),
    "order": ("two_writers", "many_writers", (0.010, 0.011)),
}


def draw(source: random.Random) -> Setting:
    """Draw the service with the limit, the latency of its database, and the utilisation of the workers.

    They are so busy that requests wait longer for a worker than it takes them to get to the database and back.
    """
    service = source.choice(sorted(PLACES))
    low, high, away_seconds = PLACES[service]
    network = {f"{service}-database": Delay(latency_seconds=source.uniform(*away_seconds))}
    return Setting(
        place=f"{low.replace('_', ' ')} at once in {service}, whose database is milliseconds away",
        before=Variant(adapters={service: f"{__name__}:{low}"}, network=network),
        after=Variant(adapters={service: f"{__name__}:{high}"}, network=network),
        demand=Demand(utilisation=source.uniform(0.8, 0.87), of_capacity=True),
        truth=Truth(Bottleneck.CONCURRENCY_LIMIT, service),
    )


EXPERIMENT = Experiment(
    name="concurrency_limit",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="Requests wait until one of a few workers is free; the work itself takes no longer than usual.",
    fix="Raise the limit to what the database can take.",
    symptoms=(
        "never more than the limit run at once, and often exactly so many",
        "requests stand still before their work begins, while connections and the processor are free",
    ),
    owner_alert="none",
    owner_alert_because="The limit is in no metric: connections are free, and the event loop is idle.",
    draw=draw,
)

"""Experiment serial resource: a lock in the process lets one transaction run at a time."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

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


class LockedStock(PostgresStock):
    """Stock that takes a lock of the process around each transaction, so that no two can deadlock."""

    def __init__(self, *, database: Database, reservation_ttl_seconds: float) -> None:
        super().__init__(database=database, reservation_ttl_seconds=reservation_ttl_seconds)
        self._lock = Turns(1)

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[PostgresStockTransaction]:
        """Run a with block in one transaction, alone in this process."""
        async with self._lock.turn(), super().transaction(name) as transaction:
            yield transaction


class LockedOrders(PostgresOrders):
    """Orders that take a lock of the process around each change, so that events are stored in order of time."""

    def __init__(self, *, database: Database, event_store: EventStore) -> None:
        super().__init__(database=database, event_store=event_store)
        self._lock = Turns(1)

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order, alone in this process."""
        async with self._lock.turn():
            return await super().add(placed, command)

    async def save(self, change: Change) -> None:
        """Store the order's next event, alone in this process."""
        async with self._lock.turn():
            await super().save(change)


def locked_stock(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return the adapter of inventory."""
    return LockedStock


def locked_orders(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return the adapter of orders."""
    return LockedOrders


# By service: its adapter, and the range of the database's latency in seconds. Order has fewer statements in a
# transaction, so its database is farther.
PLACES = {
    "inventory": ("locked_stock", (0.003, 0.004)),
    "order": ("locked_orders", (0.005, 0.006)),
}


def draw(source: random.Random) -> Setting:
    """Draw the service, its database's latency, and the utilisation of the lock.

    With a remote database the lock is held while the processor is idle, so that a request without a queue for the lock
    queues for nothing else.
    """
    service = source.choice(sorted(PLACES))
    adapter, away_seconds = PLACES[service]
    network = {f"{service}-database": Delay(latency_seconds=source.uniform(*away_seconds))}
    return Setting(
        place=f"a lock around the transactions of {service}, whose database is milliseconds away",
        before=Variant(adapters={service: f"{__name__}:{adapter}"}, network=network),
        after=Variant(network=network),
        demand=Demand(utilisation=source.uniform(0.55, 0.7), of_capacity=True),
        truth=Truth(Bottleneck.SERIAL_RESOURCE, service),
    )


EXPERIMENT = Experiment(
    name="serial_resource",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="Requests wait for a lock in the process, which is held while its database answers.",
    fix="Remove the lock: the rows' own locks, taken in order, keep transactions apart.",
    symptoms=(
        "requests stand still between two spans while the processor is idle",
        "however many requests there are, one transaction ends after the other",
    ),
    owner_alert="none",
    owner_alert_because="The lock is in no metric: connections are free, and the event loop is idle.",
    draw=draw,
)

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
from services.inventory import api
from services.inventory.adapters.postgres import PostgresStock, PostgresStockTransaction
from services.inventory.rpc.client import InventoryClient

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


class LimitedClient(InventoryClient):
    """Client that makes a bounded number of reservations at once, so that they do not overload inventory."""

    limit: int

    def __init__(self, *arguments: object, limit: int, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]  # checked where the usual one is made
        self._reservations = Turns(limit)

    async def reserve_stock(self, command: api.ReserveStock) -> api.Reservation:
        """Reserve all lines or none, in the request's turn."""
        async with self._reservations.turn():
            return await super().reserve_stock(command)


def two_workers(telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of inventory with two workers."""
    return partial(WorkedStock, telemetry=telemetry, workers=2)


def many_workers(telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of inventory with as many workers as requests may wait for a connection."""
    return partial(WorkedStock, telemetry=telemetry, workers=64)


def two_reservations(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client of inventory that makes two reservations at once."""
    return partial(LimitedClient, limit=2)


def many_reservations(_telemetry: Telemetry) -> Callable[..., InventoryClient]:
    """Return a client of inventory that makes up to 64 reservations at once."""
    return partial(LimitedClient, limit=64)


# By service whose limit it is: the process with the adapter, the low limit, the high one, and the range of the latency
# of inventory's database in seconds.
PLACES = {
    "inventory": ("inventory", "two_workers", "many_workers", (0.006, 0.007)),
    "order": ("order-inventory", "two_reservations", "many_reservations", (0.010, 0.012)),
}


def draw(source: random.Random) -> Setting:
    """Draw the service with the limit, the latency of inventory's database, and the utilisation of the workers."""
    service = source.choice(sorted(PLACES))
    process, low, high, away_seconds = PLACES[service]
    network = {"inventory-database": Delay(latency_seconds=source.uniform(*away_seconds))}
    return Setting(
        place=f"{low.replace('_', ' ')} at once in {service}; inventory's database is milliseconds away",
        before=Variant(adapters={process: f"{__name__}:{low}"}, network=network),
        after=Variant(adapters={process: f"{__name__}:{high}"}, network=network),
        demand=Demand(utilisation=source.uniform(0.65, 0.75), of_capacity=True),
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

"""Experiment payload: for each order a service reads whole lists, and needs a sum or a few rows of them."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.telemetry.telemetry import Telemetry
from services.infra.postgres import Database
from services.inventory.adapters.postgres import PostgresStock, PostgresStockTransaction
from services.inventory.api import Reservation
from services.inventory.domain.reservation import Decision
from services.order.adapters.event_store import EventStore
from services.order.adapters.postgres import PostgresOrders
from services.order.api import PlaceOrder
from services.order.domain.order import Change, Order

# Business customers, whose loyalty points have been booked several times a day for years.
CUSTOMERS = 8
POINTS = """
    CREATE TABLE points AS
    SELECT customer_id, entry, entry * 7919 % 500 AS amount, now() - entry * interval '1 hour' AS create_time
    FROM unnest('{{{customers}}}'::uuid[]) WITH ORDINALITY AS customer (customer_id, number),
        generate_series(1, {entries} * number) AS entry;
    CREATE INDEX points_by_customer ON points (customer_id);
    ANALYZE points"""
# What each supplier asks for each item; the last digit of a SKU is its category.
OFFERS = """
    CREATE TABLE offers AS
    SELECT sku, right(sku, 1) AS category, supplier, unit_price_minor * (50 + supplier * 31 % 40) / 100 AS cost_minor
    FROM items, generate_series(1, {suppliers}) AS supplier;
    CREATE INDEX offers_by_category ON offers (category);
    CREATE INDEX offers_by_sku ON offers (sku);
    ANALYZE offers"""


async def points_of(customer_id: UUID, database: Database, *, adds_up_here: bool) -> int:
    """Return the sum of a customer's points: added up here, or by the database."""
    columns = "*" if adds_up_here else "coalesce(sum(amount), 0)::bigint AS amount"
    select = f"SELECT {columns} FROM points WHERE customer_id = $1"  # noqa: S608  # one of two constants
    return sum(row["amount"] for row in await database.fetch("SELECT points", select, customer_id))


async def cheapest(skus: tuple[str, ...], database: Database, *, compares_here: bool) -> dict[str, int]:
    """Return the cheapest supplier of each item: compared here, among all offers of their categories, or in SQL."""
    if compares_here:
        select, asked = "SELECT * FROM offers WHERE category = ANY($1)", {sku[-1] for sku in skus}
    else:
        select = "SELECT DISTINCT ON (sku) * FROM offers WHERE sku = ANY($1) ORDER BY sku, cost_minor"
        asked = set(skus)
    offers = await database.fetch("SELECT offers", select, sorted(asked))
    wanted = [(each["cost_minor"], each["sku"], each["supplier"]) for each in offers if each["sku"] in skus]
    return {sku: supplier for _, sku, supplier in sorted(wanted, reverse=True)}


class OrdersWithPoints(PostgresOrders):
    """Orders that read the customer's sum of points with each new order, for the discount on the next one."""

    def __init__(self, *, database: Database, event_store: EventStore, adds_up_here: bool) -> None:
        super().__init__(database=database, event_store=event_store)
        self._adds_up_here = adds_up_here

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order, then read the points."""
        order = await super().add(placed, command)
        await points_of(order.customer_id, self._database, adds_up_here=self._adds_up_here)
        return order


class PricedTransaction(PostgresStockTransaction):
    """Stock transaction that remembers the SKUs it reserves."""

    skus: tuple[str, ...] = ()

    async def add(self, decision: Decision) -> Reservation:
        """Store the decision."""
        self.skus = tuple(line.sku for line in decision.lines)
        return await super().add(decision)


class StockWithOffers(PostgresStock):
    """Stock that finds the cheapest supplier of each item that it reserves, to order more of it."""

    def __init__(self, *, database: Database, reservation_ttl_seconds: float, compares_here: bool) -> None:
        super().__init__(database=database, reservation_ttl_seconds=reservation_ttl_seconds)
        self._compares_here = compares_here

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[PricedTransaction]:
        """Run a with block in one transaction, then read the offers: no lock is held meanwhile."""
        async with self._database.transaction(name) as transaction:
            adding = PricedTransaction(transaction, self._reservation_ttl_seconds)
            yield adding
        if adding.skus:
            await cheapest(adding.skus, self._database, compares_here=self._compares_here)


def orders_adding_up(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter of orders that adds up points itself."""
    return partial(OrdersWithPoints, adds_up_here=True)


def orders_reading_a_sum(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter of orders that reads a sum of points."""
    return partial(OrdersWithPoints, adds_up_here=False)


def stock_comparing(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of inventory that compares offers itself."""
    return partial(StockWithOffers, compares_here=True)


def stock_reading_the_cheapest(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of inventory that reads the cheapest offers."""
    return partial(StockWithOffers, compares_here=False)


# By service: its adapters that read whole lists and what they need, and the statement that does.
PLACES = {
    "inventory": ("stock_comparing", "stock_reading_the_cheapest", "SELECT offers"),
    "order": ("orders_adding_up", "orders_reading_a_sum", "SELECT points"),
}


def draw(source: random.Random) -> Setting:
    """Draw the service, the length of its lists, the customers, and the utilisation; orders are small."""
    service = source.choice(sorted(PLACES))
    whole, needed, operation = PLACES[service]
    entries, suppliers = source.randrange(4_000, 5_000, 100), source.randint(20, 25)
    customers = tuple(str(UUID(int=source.getrandbits(128), version=4)) for _ in range(CUSTOMERS))
    places = {
        "inventory": (f"offers of {suppliers} suppliers for whole categories", OFFERS.format(suppliers=suppliers)),
        "order": (
            f"{entries:,} to {CUSTOMERS * entries:,} entries of points",
            POINTS.format(customers=",".join(customers), entries=entries),
        ),
    }
    read, tables = places[service]
    return Setting(
        place=f"{service} reads {read} for each order",
        before=Variant(adapters={service: f"{__name__}:{whole}"}, statements={service: (tables,)}),
        after=Variant(adapters={service: f"{__name__}:{needed}"}, statements={service: (tables,)}),
        demand=Demand(utilisation=source.uniform(0.45, 0.6), lines=(1, 4), hot_customers=customers, hot_share=1.0),
        truth=Truth(Bottleneck.PAYLOAD, service, operation),
    )


EXPERIMENT = Experiment(
    name="payload",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="One statement returns thousands of times what its caller needs, and takes time in proportion to it.",
    fix="Let the database add up, or choose.",
    symptoms=(
        "the statement takes longer, the more it returns, and reads no row in vain",
        "the number of statements is the same for every request",
    ),
    owner_alert="none",
    owner_alert_because="Every statement is answered in time; the processors work more than they need to.",
    draw=draw,
)

"""Experiment N+1 queries: an adapter sends one statement for each line of an order instead of one for all."""

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.telemetry.telemetry import Telemetry
from services.infra.idempotency import claim
from services.infra.postgres import Transaction
from services.inventory.adapters.postgres import PostgresStock, PostgresStockTransaction
from services.inventory.adapters.rows import level_of
from services.inventory.api import StockLevel
from services.order.adapters.postgres import PostgresOrders
from services.order.api import PlaceOrder
from services.order.domain.logical_shard import logical_shard_of
from services.order.domain.order import Change, Order


class LevelsLineByLine(PostgresStockTransaction):
    """Stock transaction that locks each item with a statement of its own, in order of SKU."""

    async def lock_levels(self, skus: tuple[str, ...]) -> Mapping[str, StockLevel]:
        """Lock the items one after the other."""
        select = """
            SELECT sku, on_hand, reserved, currency_code, unit_price_minor FROM items
            WHERE sku = $1 FOR NO KEY UPDATE"""
        levels = {}
        for sku in sorted(skus):
            for row in await self._transaction.fetch("SELECT items FOR UPDATE", select, sku):
                levels[sku] = level_of(row)
        return levels


class StockLineByLine(PostgresStock):
    """Stock whose transactions lock items line by line."""

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[PostgresStockTransaction]:
        """Run a with block in one transaction."""
        async with self._database.transaction(name) as transaction:
            yield LevelsLineByLine(transaction, self._reservation_ttl_seconds)


class OrdersLineByLine(PostgresOrders):
    """Orders whose lines are stored with a statement each."""

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order with the command's request id, or return the one that came first with it."""
        async with self._database.transaction("place_order") as transaction:
            order = placed.order
            first_id = await claim(
                transaction,
                scope=str(command.customer_id),
                request_id=command.request_id,
                command=command,
                resource_id=order.order_id,
                logical_shard=logical_shard_of(order.customer_id),
            )
            if first_id is None:
                await self._event_store.append(transaction, placed)
                await insert_line_by_line(transaction, order)
                return order
        return await self.get(first_id, command.customer_id)


async def insert_line_by_line(transaction: Transaction, order: Order) -> None:
    """Store the order, then its lines one after the other."""
    insert_order = """
        INSERT INTO orders (order_id, customer_id, state, version, line_count, create_time, update_time, logical_shard)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"""
    shard = logical_shard_of(order.customer_id)
    await transaction.execute(
        "INSERT orders",
        insert_order,
        order.order_id,
        order.customer_id,
        order.state.value,
        order.version,
        len(order.lines),
        order.create_time,
        order.update_time,
        shard,
    )
    insert = """
        INSERT INTO order_lines (order_id, line_number, sku, quantity, logical_shard) VALUES ($1, $2, $3, $4, $5)"""
    for number, line in enumerate(order.lines, start=1):
        await transaction.execute("INSERT order_lines", insert, order.order_id, number, line.sku, line.quantity, shard)


def stock_line_by_line(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return the adapter of inventory."""
    return StockLineByLine


def orders_line_by_line(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return the adapter of orders."""
    return OrdersLineByLine


PLACES = {
    "inventory": ("stock_line_by_line", "SELECT items FOR UPDATE"),
    "order": ("orders_line_by_line", "INSERT order_lines"),
}


def draw(source: random.Random) -> Setting:
    """Draw the service, the number of lines, and the utilisation."""
    service = source.choice(sorted(PLACES))
    make, operation = PLACES[service]
    most_lines = source.randint(32, 48)
    return Setting(
        place=f"{operation} of {service}, orders of up to {most_lines} lines",
        before=Variant(adapters={service: f"{__name__}:{make}"}),
        after=HEALTHY,
        demand=Demand(utilisation=source.uniform(0.6, 0.75), lines=(16, most_lines)),
        truth=Truth(Bottleneck.N_PLUS_ONE, service, operation),
    )


EXPERIMENT = Experiment(
    name="n_plus_one",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="The latency of an order grows with its lines, since each line costs a statement of its own.",
    fix="Send one statement for all lines.",
    symptoms=("the number of statements per request grows with the lines of an order", "each statement is fast"),
    owner_alert="none",
    owner_alert_because="Every statement is fast and no resource is exhausted; only requests with many lines are slow.",
    collateral={
        "ShopOrderPlacementSlow": "On a slow machine orders with many lines take more than half a second.",
        "ShopPoolWaiting": "On a slow machine their transactions hold all connections for a while.",
        "ShopPoolExhausted": "Some requests then time out waiting for a connection.",
    },
    draw=draw,
)

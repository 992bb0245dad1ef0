"""Experiment hot row: every reservation first updates one counter row, and holds its lock until the commit."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.network.proxy import Delay
from observability.telemetry.telemetry import Telemetry
from services.inventory.adapters.postgres import PostgresStock, PostgresStockTransaction

OPERATION = "UPDATE command_totals"
TABLE = ("CREATE TABLE command_totals (total bigint NOT NULL)", "INSERT INTO command_totals VALUES (0)")


class CountingTransaction(PostgresStockTransaction):
    """Stock transaction that first counts the command in the single row of `command_totals`."""

    async def claim(self, command: object, request_id: str) -> bool:
        """Count the command, then claim its request id."""
        await self._transaction.execute(OPERATION, "UPDATE command_totals SET total = total + 1")
        return await super().claim(command, request_id)


class CountingStock(PostgresStock):
    """Stock whose commands are counted."""

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[PostgresStockTransaction]:
        """Run a with block in one transaction."""
        async with self._database.transaction(name) as transaction:
            yield CountingTransaction(transaction, self._reservation_ttl_seconds)


def counting_stock(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return the adapter of inventory."""
    return CountingStock


def draw(source: random.Random) -> Setting:
    """Draw the database's latency, which determines how long the row is locked, and the utilisation.

    The rate is calibrated by the processor, and the row is busier than that: at half utilisation of the processor,
    orders would spend nearly all their time in the queue for the row.
    """
    network = {"inventory-database": Delay(latency_seconds=source.uniform(0.002, 0.003))}
    return Setting(
        place="one row that counts the commands of inventory",
        before=Variant(
            adapters={"inventory": f"{__name__}:counting_stock"}, statements={"inventory": TABLE}, network=network
        ),
        after=Variant(network=network),
        demand=Demand(utilisation=source.uniform(0.34, 0.42)),
        truth=Truth(Bottleneck.HOT_ROW, "inventory", OPERATION),
    )


EXPERIMENT = Experiment(
    name="hot_row",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="Commands of different orders wait for each other, since each updates the same row.",
    fix="Compute the total from the stored commands when it is needed.",
    symptoms=("sessions wait for a lock", "one statement is slow, and only when others run"),
    owner_alert="none",
    owner_alert_because="Transactions wait for each other, and no alert covers locks.",
    draw=draw,
    collateral={
        "ShopPoolWaiting": "A transaction that waits for the row holds a connection; with a long queue all are in use.",
        "ShopPoolExhausted": "Some requests then time out waiting for a connection.",
        "ShopOrderPlacementSlow": "Answers include the wait for the row.",
    },
)

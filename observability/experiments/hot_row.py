"""Hot row: every reservation counts itself in one row first, and holds it until it is committed."""

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
    """Counts each command in the one row of `command_totals`, before anything else."""

    async def claim(self, command: object, request_id: str) -> bool:
        """Count the command, then take its request id."""
        await self._transaction.execute(OPERATION, "UPDATE command_totals SET total = total + 1")
        return await super().claim(command, request_id)


class CountingStock(PostgresStock):
    """Stock whose commands are counted."""

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[PostgresStockTransaction]:
        """Run a block in one transaction."""
        async with self._database.transaction(name) as transaction:
            yield CountingTransaction(transaction, self._reservation_ttl_seconds)


def counting_stock(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return the adapter of inventory."""
    return CountingStock


def draw(source: random.Random) -> Setting:
    """Draw how far away the database is, which is how long the row is held, and how busy it gets.

    The rate is found by the processor, and the row is busier than that: with the one half busy, orders would spend
    nearly all of their time in line for the other.
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
    fix="Count what is stored already when the total is wanted.",
    symptoms=("sessions wait for a lock", "one statement is slow, and only when others run"),
    owner_alert="none",
    owner_alert_because="Transactions wait for each other, and no alert looks at locks.",
    draw=draw,
    collateral={
        "ShopPoolWaiting": "Who waits for the row holds a connection: where a seed draws a long queue, all are held.",
        "ShopPoolExhausted": "Some then give up waiting for a connection.",
        "ShopOrderPlacementSlow": "The queue for the row is in the answer.",
    },
)

"""Experiment slow call: the database hashes each order's pickup code thousands of times, as if it were a password."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from secrets import token_hex
from uuid import UUID

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.telemetry.telemetry import Telemetry
from services.infra.postgres import Database
from services.inventory.adapters.postgres import PostgresStock, PostgresStockTransaction
from services.inventory.api import Reservation
from services.inventory.domain.reservation import Decision
from services.order.adapters.postgres import PostgresOrders
from services.order.api import PlaceOrder
from services.order.domain.order import Change, Order

OPERATION = "INSERT pickup_codes"
CODE_BYTES = 16
TABLE = "CREATE TABLE pickup_codes (subject_id uuid PRIMARY KEY, code_hash bytea NOT NULL)"
# Key stretching is slow on purpose, so that a short password cannot be guessed. A random code of 128 bits cannot be
# guessed anyway.
HASH = """
    CREATE FUNCTION hash_of_code(code text) RETURNS bytea LANGUAGE plpgsql AS $$
    DECLARE hash bytea := sha256(code::bytea);
    BEGIN
        FOR round IN 2..{rounds} LOOP hash := sha256(hash || code::bytea); END LOOP;
        RETURN hash;
    END $$"""


async def store_code(database: Database, subject_id: UUID) -> None:
    """Store the hash of a new pickup code; a repeat keeps the first."""
    # Purpose: the code itself is never stored.
    insert = """
        INSERT INTO pickup_codes (subject_id, code_hash) VALUES ($1, hash_of_code($2))
        ON CONFLICT (subject_id) DO NOTHING"""
    await database.fetch(OPERATION, insert, subject_id, token_hex(CODE_BYTES))


class OrdersWithCodes(PostgresOrders):
    """Orders that store the hash of a pickup code with each new order."""

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order, then the hash of its code."""
        order = await super().add(placed, command)
        await store_code(self._database, order.order_id)
        return order


class RememberingTransaction(PostgresStockTransaction):
    """Stock transaction that remembers the reservation it adds."""

    added: UUID | None = None

    async def add(self, decision: Decision) -> Reservation:
        """Store the decision."""
        self.added = decision.reservation_id
        return await super().add(decision)


class StockWithCodes(PostgresStock):
    """Stock that stores the hash of a pickup code with each new reservation."""

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[RememberingTransaction]:
        """Run a with block in one transaction, then store the code: no lock is held meanwhile."""
        async with self._database.transaction(name) as transaction:
            adding = RememberingTransaction(transaction, self._reservation_ttl_seconds)
            yield adding
        if adding.added is not None:
            await store_code(self._database, adding.added)


def orders_with_codes(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return the adapter of orders."""
    return OrdersWithCodes


def stock_with_codes(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return the adapter of inventory."""
    return StockWithCodes


PLACES = {"inventory": "stock_with_codes", "order": "orders_with_codes"}


def draw(source: random.Random) -> Setting:
    """Draw the service, the number of rounds of the hash, and the utilisation; orders are small."""
    service, rounds = source.choice(sorted(PLACES)), source.randrange(20_000, 40_000, 1_000)
    adapters = {service: f"{__name__}:{PLACES[service]}"}
    return Setting(
        place=f"{OPERATION} of {service} makes {rounds:,} rounds of a hash",
        before=Variant(adapters=adapters, statements={service: (TABLE, HASH.format(rounds=rounds))}),
        after=Variant(adapters=adapters, statements={service: (TABLE, HASH.format(rounds=1))}),
        demand=Demand(utilisation=source.uniform(0.35, 0.45), lines=(1, 6)),
        truth=Truth(Bottleneck.SLOW_CALL, service, OPERATION),
    )


EXPERIMENT = Experiment(
    name="slow_call",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="One statement takes much of the time of a request, each time, whatever else runs.",
    fix="Hash a random code once: it cannot be guessed, so its hash needs no stretching.",
    symptoms=("one statement is slow in every request", "it waits for no lock, and reads no row in vain"),
    owner_alert="none",
    owner_alert_because="The objective still holds, and no resource is exhausted.",
    draw=draw,
)

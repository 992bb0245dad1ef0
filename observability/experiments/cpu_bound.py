"""Experiment CPU bound: a receipt's key is derived from the secret anew for each order, which takes a processor."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from hashlib import pbkdf2_hmac
from hmac import digest
from secrets import token_bytes
from uuid import UUID

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.experiments.slow_call import RememberingTransaction
from observability.telemetry.telemetry import Telemetry
from services.infra.postgres import Database
from services.inventory.adapters.postgres import PostgresStock
from services.order.adapters.event_store import EventStore
from services.order.adapters.postgres import PostgresOrders
from services.order.api import PlaceOrder
from services.order.domain.order import Change, Order

# As often as OWASP advised in 2021 for a password that a person has chosen, which this secret is not, and more.
ROUNDS = {"many": 310_000, "very many": 400_000}
SALT = b"receipts"

Sign = Callable[[UUID], bytes]


def signing_with_new_key(rounds: int) -> Sign:
    """Return a signature that derives its key for each receipt."""
    secret = token_bytes(32)
    return lambda subject_id: digest(pbkdf2_hmac("sha256", secret, SALT, rounds), subject_id.bytes, "sha256")


def signing_with_one_key() -> Sign:
    """Return a signature whose key is derived once."""
    key = pbkdf2_hmac("sha256", token_bytes(32), SALT, ROUNDS["many"])
    return lambda subject_id: digest(key, subject_id.bytes, "sha256")


class OrdersWithReceipts(PostgresOrders):
    """Orders that sign a receipt of each new order."""

    def __init__(self, *, database: Database, event_store: EventStore, sign: Sign) -> None:
        super().__init__(database=database, event_store=event_store)
        self._sign = sign

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order, then sign its receipt."""
        order = await super().add(placed, command)
        self._sign(order.order_id)
        return order


class StockWithReceipts(PostgresStock):
    """Stock that signs a receipt of each new reservation."""

    def __init__(self, *, database: Database, reservation_ttl_seconds: float, sign: Sign) -> None:
        super().__init__(database=database, reservation_ttl_seconds=reservation_ttl_seconds)
        self._sign = sign

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[RememberingTransaction]:
        """Run a with block in one transaction, then sign: no lock is held meanwhile."""
        async with self._database.transaction(name) as transaction:
            adding = RememberingTransaction(transaction, self._reservation_ttl_seconds)
            yield adding
        if adding.added is not None:
            self._sign(adding.added)


def orders_deriving_many(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter of orders that derives a key for each receipt in many rounds."""
    return partial(OrdersWithReceipts, sign=signing_with_new_key(ROUNDS["many"]))


def orders_deriving_very_many(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter of orders that derives a key for each receipt in very many rounds."""
    return partial(OrdersWithReceipts, sign=signing_with_new_key(ROUNDS["very many"]))


def orders_deriving_once(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter of orders that derives its key once."""
    return partial(OrdersWithReceipts, sign=signing_with_one_key())


def stock_deriving_many(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of inventory that derives a key for each receipt in many rounds."""
    return partial(StockWithReceipts, sign=signing_with_new_key(ROUNDS["many"]))


def stock_deriving_very_many(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of inventory that derives a key for each receipt in very many rounds."""
    return partial(StockWithReceipts, sign=signing_with_new_key(ROUNDS["very many"]))


def stock_deriving_once(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of inventory that derives its key once."""
    return partial(StockWithReceipts, sign=signing_with_one_key())


PLACES = {"inventory": "stock", "order": "orders"}


def draw(source: random.Random) -> Setting:
    """Draw the service, the number of rounds, and the utilisation; orders are small, so that other work is."""
    service, rounds = source.choice(sorted(PLACES)), source.choice(sorted(ROUNDS))
    adapter = f"{__name__}:{PLACES[service]}_deriving"
    return Setting(
        place=f"{service} derives a key in {ROUNDS[rounds]:,} rounds for each order",
        before=Variant(adapters={service: f"{adapter}_{rounds.replace(' ', '_')}"}),
        after=Variant(adapters={service: f"{adapter}_once"}),
        demand=Demand(utilisation=source.uniform(0.65, 0.75), lines=(1, 4)),
        truth=Truth(Bottleneck.CPU_BOUND, service),
    )


EXPERIMENT = Experiment(
    name="cpu_bound",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="The code of one service needs most of the processor, and its requests wait for each other's work.",
    fix="Derive the key once, when the process starts.",
    symptoms=(
        "the event loop lags while its process works or waits for a processor",
        "every request of the process has a long interval without a call",
    ),
    owner_alert="none",
    owner_alert_because="Few of the waits reach 0.1 s, and the machine has a core for other work.",
    draw=draw,
    collateral={
        "ShopRunQueueWaiting": "On a slow machine the processes wait for their shared core.",
        "ShopEventLoopLagging": "On a slow machine the derivation of one key takes 0.1 s.",
    },
)

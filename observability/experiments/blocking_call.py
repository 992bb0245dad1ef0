"""Experiment blocking call: audit entries are written with a blocking client, which blocks the event loop."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from queue import Queue
from threading import Thread
from typing import Any, Protocol, TypeVar
from uuid import UUID

import asyncpg

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.network.proxy import Delay
from observability.telemetry.telemetry import Telemetry
from services.infra.postgres import Database
from services.inventory.adapters.postgres import PostgresStock, PostgresStockTransaction
from services.inventory.api import Reservation
from services.inventory.domain.reservation import Decision
from services.order.adapters.event_store import EventStore
from services.order.adapters.postgres import PostgresOrders
from services.order.api import PlaceOrder
from services.order.domain.order import Change, Order

T = TypeVar("T")

TIMEOUT_SECONDS = 5.0
MOST_WAITING = 10_000
TABLE = """
    CREATE TABLE audit_entries (
        subject_id uuid NOT NULL, sku text NOT NULL, quantity int NOT NULL,
        create_time timestamptz NOT NULL DEFAULT now()
    )"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A quantity of an item in the order or the reservation `subject_id`."""

    subject_id: UUID
    sku: str
    quantity: int


class BlockingClient:
    """A client of PostgreSQL with blocking calls, built on an asynchronous one.

    The connection lives on an event loop in a thread of its own. The caller blocks until the answer arrives, and so
    does the event loop that it runs on. The thread ends with the process.
    """

    def __init__(self, dsn: str) -> None:
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, name="audit", daemon=True).start()
        self._connection = self._wait_for(
            asyncpg.connect(dsn, timeout=TIMEOUT_SECONDS, command_timeout=TIMEOUT_SECONDS)
        )

    def write(self, entry: AuditEntry) -> None:
        """Store an entry, and return once it is committed. Raises OSError, asyncpg.PostgresError."""
        # Purpose: an entry is written once, and never read by the shop.
        insert = "INSERT INTO audit_entries (subject_id, sku, quantity) VALUES ($1, $2, $3)"
        self._wait_for(self._connection.execute(insert, entry.subject_id, entry.sku, entry.quantity))

    def _wait_for(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(TIMEOUT_SECONDS)


class Audit(Protocol):
    """A log of every line that was ordered or reserved, written after the commit."""

    def record(self, entries: Iterable[AuditEntry]) -> None:
        """Record the entries."""


class BlockingAudit:
    """Audit that writes on the caller's thread, which runs the event loop: no other request progresses meanwhile."""

    def __init__(self, client: BlockingClient) -> None:
        self._client = client

    def record(self, entries: Iterable[AuditEntry]) -> None:
        """Store the entries, one after the other."""
        for entry in entries:
            self._client.write(entry)


class ThreadedAudit:
    """Audit that writes the same entries with the same client from a thread of its own, while requests go on.

    An entry records a committed change, so no answer has to wait for it. Entries still queued when the process ends are
    lost.
    """

    def __init__(self, client: BlockingClient) -> None:
        self._client = client
        self._entries: Queue[AuditEntry] = Queue(maxsize=MOST_WAITING)
        self._failure: Exception | None = None
        Thread(target=self._write_all, name="audit-writer", daemon=True).start()

    def record(self, entries: Iterable[AuditEntry]) -> None:
        """Queue the entries. Raises the thread's failure, and queue.Full when it is thousands of entries behind."""
        if self._failure is not None:
            raise self._failure
        for entry in entries:
            self._entries.put_nowait(entry)

    def _write_all(self) -> None:
        try:
            while True:
                self._client.write(self._entries.get())
        except Exception as failure:  # noqa: BLE001  # the thread ends; the next call of `record` raises it
            self._failure = failure


class AuditedOrders(PostgresOrders):
    """Orders whose lines are audited."""

    def __init__(self, *, database: Database, event_store: EventStore, audit: Audit) -> None:
        super().__init__(database=database, event_store=event_store)
        self._audit = audit

    async def add(self, placed: Change, command: PlaceOrder) -> Order:
        """Store the order, then audit its lines."""
        order = await super().add(placed, command)
        self._audit.record(AuditEntry(order.order_id, line.sku, line.quantity) for line in order.lines)
        return order


class AuditedTransaction(PostgresStockTransaction):
    """Stock transaction that collects the lines it reserves."""

    entries: tuple[AuditEntry, ...] = ()

    async def add(self, decision: Decision) -> Reservation:
        """Store the decision, and collect its lines."""
        reservation = await super().add(decision)
        self.entries = tuple(AuditEntry(decision.reservation_id, line.sku, line.quantity) for line in decision.lines)
        return reservation


class AuditedStock(PostgresStock):
    """Stock whose reserved lines are audited."""

    def __init__(self, *, database: Database, reservation_ttl_seconds: float, audit: Audit) -> None:
        super().__init__(database=database, reservation_ttl_seconds=reservation_ttl_seconds)
        self._audit = audit

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[AuditedTransaction]:
        """Run a with block in one transaction, then audit: locks are not held while the audit writes."""
        async with self._database.transaction(name) as transaction:
            audited = AuditedTransaction(transaction, self._reservation_ttl_seconds)
            yield audited
        self._audit.record(audited.entries)


def blocking_orders(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter of orders that audits on the event loop."""
    audit = BlockingAudit(BlockingClient(os.environ["ORDER_DATABASE_DSN"]))
    return lambda **arguments: AuditedOrders(**arguments, audit=audit)


def threaded_orders(_telemetry: Telemetry) -> Callable[..., PostgresOrders]:
    """Return an adapter of orders that audits from a thread."""
    audit = ThreadedAudit(BlockingClient(os.environ["ORDER_DATABASE_DSN"]))
    return lambda **arguments: AuditedOrders(**arguments, audit=audit)


def blocking_stock(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of stock that audits on the event loop."""
    audit = BlockingAudit(BlockingClient(os.environ["INVENTORY_DATABASE_DSN"]))
    return lambda **arguments: AuditedStock(**arguments, audit=audit)


def threaded_stock(_telemetry: Telemetry) -> Callable[..., PostgresStock]:
    """Return an adapter of stock that audits from a thread."""
    audit = ThreadedAudit(BlockingClient(os.environ["INVENTORY_DATABASE_DSN"]))
    return lambda **arguments: AuditedStock(**arguments, audit=audit)


# By service: the blocking adapter, the threaded one, and the range of the largest order's number of lines. Inventory's
# is smaller, since every order calls inventory twice and queues for its event loop twice.
PLACES = {
    "inventory": ("blocking_stock", "threaded_stock", (7, 9)),
    "order": ("blocking_orders", "threaded_orders", (9, 13)),
}


def draw(source: random.Random) -> Setting:
    """Draw the audited service, its database's latency, the number of lines, and the utilisation.

    A blocked process uses no processor, so the utilisation may be low. The latency stays with the fix.
    """
    service = source.choice(sorted(PLACES))
    blocking, threaded, most = PLACES[service]
    milliseconds, most_lines = source.uniform(2.5, 3.5), source.randint(*most)
    network = {f"{service}-database": Delay(latency_seconds=milliseconds / 1e3)}
    return Setting(
        place=f"{service} waits for an audit {milliseconds:.1f} ms away, for each of up to {most_lines} lines",
        before=Variant(adapters={service: f"{__name__}:{blocking}"}, statements={service: (TABLE,)}, network=network),
        after=Variant(adapters={service: f"{__name__}:{threaded}"}, statements={service: (TABLE,)}, network=network),
        demand=Demand(utilisation=source.uniform(0.3, 0.4), lines=(5, most_lines)),
        truth=Truth(Bottleneck.BLOCKING_CALL, service),
    )


EXPERIMENT = Experiment(
    name="blocking_call",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="A blocking call runs on the event loop, and every request of the process waits until it returns.",
    fix="Make the same calls from a thread of their own.",
    symptoms=(
        "all operations of the process are slower, with time between their spans",
        "its event loop lags, though the process neither works nor waits for a processor",
    ),
    owner_alert="none",
    owner_alert_because="Few of the waits reach 0.1 s, from which on the alert counts the loop as lagging.",
    draw=draw,
)

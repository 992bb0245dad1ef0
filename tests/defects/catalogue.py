"""Catalogue of mutations that replace correct code by a naive version, each with the test that must detect it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from observability.telemetry.http import Receive, Scope, Send
from services.edge.admission import AdmissionMiddleware
from services.infra.admission import Priority
from services.infra.cache import Cache
from services.infra.idempotency import first_form
from services.infra.messaging.consumer import Consumer, Cursor
from services.infra.messaging.message import ReceivedMessage
from services.infra.messaging.outbox import Outbox, Stored
from services.infra.messaging.postgres_log import PostgresLog
from services.infra.postgres import Database, Transaction
from services.infra.single_flight import SingleFlight
from services.inventory.adapters.postgres import PostgresStockTransaction
from services.inventory.adapters.rows import level_of
from services.inventory.api import Reservation, ReservationState, StockLevel
from services.inventory.domain.reservation import Movement
from services.kernel.clock import utc_now
from services.kernel.errors import Overloaded
from services.order.adapters.event_store import EventStore
from services.order.adapters.postgres import PostgresOrders
from services.order.adapters.summaries import PostgresSummaries
from services.order.api import PlaceOrder
from services.order.consistency_token import OrderVersion
from services.order.domain.order import Change


@dataclass(frozen=True, slots=True)
class Defect:
    """A naive version, the test that catches it, and a text of the failure that shows it was caught for its reason."""

    name: str
    caught_by: str
    shows_in: str
    put_back: Callable[[pytest.MonkeyPatch], None]


def no_saga(patch: pytest.MonkeyPatch) -> None:
    """Leave a stored order to its request alone: no worker finishes it after a crash."""
    append = EventStore.append

    async def naive(self: EventStore, transaction: Transaction, change: Change) -> None:
        await append(self, transaction, change)
        await transaction.execute("DELETE", "DELETE FROM sagas WHERE order_id = $1", change.order.order_id)

    patch.setattr(EventStore, "append", naive)


def dual_write(patch: pytest.MonkeyPatch) -> None:
    """Write the event to the outbox after the commit that stores it, in a second transaction."""
    append, save = EventStore.append, PostgresOrders.save

    async def without_outbox(self: EventStore, transaction: Transaction, change: Change) -> None:
        await append(self, transaction, change)
        await transaction.execute("DELETE", "DELETE FROM outbox WHERE stream_id = $1", change.order.order_id)

    async def then_publish(self: PostgresOrders, change: Change) -> None:
        await save(self, change)
        async with self._database.transaction("publish") as transaction:
            insert = """
                INSERT INTO outbox (stream_id, version, logical_shard)
                SELECT stream_id, version, logical_shard FROM events WHERE stream_id = $1 AND version <= $2
                ON CONFLICT DO NOTHING"""
            await transaction.execute("INSERT", insert, change.order.order_id, change.order.version)

    patch.setattr(EventStore, "append", without_outbox)
    patch.setattr(PostgresOrders, "save", then_publish)


def stampede(patch: pytest.MonkeyPatch) -> None:
    """Let each caller that misses a cached value read it, however many callers are reading it already."""

    async def each_for_itself(
        self: SingleFlight[Any], keys: Collection[str], *, shared: Callable[[int], None] = lambda _count: None
    ) -> Mapping[str, Any]:
        return await self._fetch(tuple(keys))

    patch.setattr(SingleFlight, "get", each_for_itself)


def flight_on_the_first_one_s_time(patch: pytest.MonkeyPatch) -> None:
    """Bound a shared read by the deadline of the first caller."""

    async def hurried(self: SingleFlight[Any], keys: tuple[str, ...]) -> Mapping[str, Any]:
        return await self._fetch(keys)

    patch.setattr(SingleFlight, "_fly", hurried)


def values_that_end_together(patch: pytest.MonkeyPatch) -> None:
    """Expire each cached value after exactly the setting, without jitter."""

    def the_same(self: Cache[Any], _data: bytes) -> float:
        return self._lifetime_seconds

    patch.setattr(Cache, "_random_lifetime_seconds", the_same)


def check_then_act(patch: pytest.MonkeyPatch) -> None:
    """Read stock without a lock, and rely on that value."""
    seen: dict[str, StockLevel] = {}

    async def unlocked(self: PostgresStockTransaction, skus: tuple[str, ...]) -> Mapping[str, StockLevel]:
        select = "SELECT sku, on_hand, reserved, currency_code, unit_price_minor FROM items WHERE sku = ANY($1)"
        rows = await self._transaction.fetch("SELECT items", select, skus)
        seen.update({row["sku"]: level_of(row) for row in rows})
        return {sku: seen[sku] for sku in skus if sku in seen}

    async def overwrite(self: PostgresStockTransaction, reservation: Reservation, movement: Movement) -> None:
        for line in reservation.lines:
            level = seen[line.sku]
            on_hand = level.on_hand + line.quantity * movement.on_hand
            reserved = level.reserved + line.quantity * movement.reserved
            update = "UPDATE items SET on_hand = $2, reserved = $3 WHERE sku = $1"
            await self._transaction.execute("UPDATE items", update, line.sku, max(0, on_hand), max(0, reserved))

    patch.setattr(PostgresStockTransaction, "lock_levels", unlocked)
    patch.setattr(PostgresStockTransaction, "_move", overwrite)


def missing_tombstone(patch: pytest.MonkeyPatch) -> None:
    """Let a release without a reservation succeed and leave no mark, so that a late reservation is not rejected."""

    async def forgotten(self: PostgresStockTransaction, reservation_id: UUID) -> Reservation:
        return Reservation(reservation_id, ReservationState.VOIDED, (), utc_now(), None)

    patch.setattr(PostgresStockTransaction, "void", forgotten)


def acknowledged_before_the_effect(patch: pytest.MonkeyPatch) -> None:
    """Save the consumer's position first, and apply the effect in a second transaction."""
    transaction = Database.transaction

    async def naive(self: Consumer, cursor: Cursor, deliveries: Sequence[ReceivedMessage]) -> None:
        async with transaction(self._database, "acknowledge") as first:
            if not await self._move(first, cursor, deliveries[-1].position):
                return
        async with transaction(self._database, "effect") as second:
            await self._handle(second, [delivery.message for delivery in deliveries])

    patch.setattr(Consumer, "_apply", naive)


def naive_cursor(patch: pytest.MonkeyPatch) -> None:
    """Read events after the highest sequence seen, as if sequences were assigned at commit."""
    seen = 0

    async def after_the_last(self: Outbox, limit: int) -> list[Stored]:
        nonlocal seen
        select = "SELECT * FROM events WHERE sequence > $1 ORDER BY sequence LIMIT $2"
        rows = await self._database.fetch("SELECT events", select, seen, limit)
        seen = max([seen, *(row["sequence"] for row in rows)])
        return [stored for row in rows if (stored := self._stored(row))]

    patch.setattr(Outbox, "unpublished", after_the_last)


def unfenced_relay(patch: pytest.MonkeyPatch) -> None:
    """Accept events from every relay that believes it is the leader."""

    async def unfenced(self: PostgresLog, transaction: Transaction, _epoch: int | None) -> str | None:
        select = "SELECT incarnation FROM event_log_head FOR UPDATE"
        rows = await transaction.fetch("SELECT event_log_head FOR UPDATE", select)
        return rows[0]["incarnation"] if rows else None

    patch.setattr(PostgresLog, "_lock_head", unfenced)


def key_looked_up_first(patch: pytest.MonkeyPatch) -> None:
    """Look up a request id, then insert it: two concurrent requests both find nothing."""

    async def naive(
        transaction: Transaction,
        *,
        scope: str,
        request_id: str,
        command: object,
        resource_id: UUID,
        logical_shard: int,
    ) -> UUID | None:
        select = "SELECT resource_id FROM idempotency_keys WHERE scope = $1 AND request_id = $2"
        rows = await transaction.fetch("SELECT", select, scope, request_id)
        if rows:
            found: UUID = rows[0]["resource_id"]
            return found
        insert = """
            INSERT INTO idempotency_keys (scope, request_id, digest, resource_id, logical_shard)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (scope, request_id, logical_shard) DO UPDATE SET resource_id = excluded.resource_id"""
        await transaction.execute("INSERT", insert, scope, request_id, first_form(command), resource_id, logical_shard)
        return None

    patch.setattr("services.order.adapters.postgres.claim", naive)


def late_event_wins(patch: pytest.MonkeyPatch) -> None:
    """Overwrite the read model with the last event received, whatever its version."""
    execute = Transaction.fetch

    async def unguarded(self: Transaction, summary: str, query: str, *arguments: object) -> list[asyncpg.Record]:
        return await execute(self, summary, query.replace("WHERE kept.version < excluded.version", ""), *arguments)

    patch.setattr(Transaction, "fetch", unguarded)


def inventory_asked_before_the_key(patch: pytest.MonkeyPatch) -> None:
    """Check whether inventory is available before looking up the idempotency key."""

    async def naive(_self: PostgresOrders, _command: PlaceOrder) -> None:
        return None

    patch.setattr(PostgresOrders, "find", naive)


def list_that_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    """Check the consistency token, but return the list without waiting for the token's position."""

    async def naive(_self: PostgresSummaries, _seen: OrderVersion) -> None:
        return None

    patch.setattr(PostgresSummaries, "wait_for", naive)


def rejected_too_late(patch: pytest.MonkeyPatch) -> None:
    """Reject a request after its work is done, as if it had not started."""

    async def naive(self: AdmissionMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        answer: list[Any] = []

        async def keep(message: Any) -> None:
            answer.append(message)

        await self._application(scope, receive, keep)
        try:
            with self._admission.admit("", Priority.LIST, stage="http", remaining_seconds=1.0):
                for message in answer:
                    await send(message)
        except Overloaded as error:
            await self._reject(error, "", scope, receive, send)

    patch.setattr(AdmissionMiddleware, "__call__", naive)


CANCELLATION = "tests/integration/order/test_cancellation.py"
ORACLE = "tests/integration/chaos/test_oracle.py"
RELAY = "tests/integration/messaging/test_relay.py"
DEFECTS = {
    defect.name: defect
    for defect in (
        Defect(
            "no_saga",
            "tests/contract/test_order.py::test_saga_worker_finishes_a_pending_order",
            "PENDING",
            no_saga,
        ),
        Defect(
            "dual_write", f"{CANCELLATION}::test_placing_an_order_may_end_at_any_await", "AssertionError", dual_write
        ),
        Defect(
            "check_then_act",
            "tests/integration/stock/test_concurrency.py::test_a_storm_on_one_sku_sells_exactly_its_stock",
            "AssertionError",
            check_then_act,
        ),
        Defect(
            "missing_tombstone",
            "tests/contract/test_inventory.py::test_a_release_before_the_reserve_voids_it",
            "ReservationVoided",
            missing_tombstone,
        ),
        Defect(
            "acknowledged_before_the_effect",
            f"{CANCELLATION}::test_the_workers_may_end_at_any_await",
            "AssertionError",
            acknowledged_before_the_effect,
        ),
        Defect(
            "naive_cursor",
            f"{RELAY}::test_an_event_that_commits_late_is_published",
            "AssertionError",
            naive_cursor,
        ),
        Defect(
            "unfenced_relay",
            f"{RELAY}::test_a_leader_that_was_paused_is_refused_by_the_log",
            "AssertionError",
            unfenced_relay,
        ),
        Defect(
            "late_event_wins",
            "tests/integration/read_model/test_summaries.py::test_late_repeated_and_reordered_events_end_in_their_fold",
            "AssertionError",
            late_event_wins,
        ),
        Defect(
            "key_looked_up_first",
            "tests/integration/stock/test_concurrency.py::test_one_order_repeated_at_once_is_placed_once",
            "AssertionError",
            key_looked_up_first,
        ),
        Defect(
            "inventory_asked_before_the_key",
            f"{ORACLE}::test_a_stored_order_is_not_denied_in_an_outage",
            "s that nothing was done",
            inventory_asked_before_the_key,
        ),
        Defect(
            "list_that_does_not_wait",
            f"{ORACLE}::test_a_list_holds_what_its_token_says",
            "has it not at all",
            list_that_does_not_wait,
        ),
        Defect(
            "rejected_too_late",
            f"{ORACLE}::test_a_rejected_request_was_not_begun",
            "by a call whose answer says that it did not start",
            rejected_too_late,
        ),
        Defect(
            "stampede",
            "tests/unit/infra/test_cache.py::test_a_stampede_is_one_read_a_key",
            "AssertionError",
            stampede,
        ),
        Defect(
            "flight_on_the_first_one_s_time",
            "tests/unit/infra/test_single_flight.py::test_each_waits_as_long_as_its_own_deadline_says",
            "AssertionError",
            flight_on_the_first_one_s_time,
        ),
        Defect(
            "values_that_end_together",
            "tests/unit/infra/test_cache.py::test_values_that_were_written_together_end_apart",
            "AssertionError",
            values_that_end_together,
        ),
    )
}

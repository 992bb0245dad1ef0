"""Stock in PostgreSQL: a constant number of statements for each command; items are always locked in order of SKU."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.infra.idempotency import claim
from services.infra.postgres import Database, Transaction
from services.inventory.adapters.rows import level_of, locked_reservation_of, reservation_of, shortages_to_json
from services.inventory.api import (
    Delivery,
    Reservation,
    ReservationState,
    ReservationVoided,
    StockHint,
    StockLevel,
)
from services.inventory.application.ports import LockedReservation
from services.inventory.domain.reservation import SET_ASIDE, Decision, Movement, Step
from services.kernel.errors import RequestIdReused
from services.kernel.money import Money

NO_RESOURCE = UUID(int=0)


@dataclass(frozen=True, slots=True)
class ReservationBacklog:
    """Numbers of reservations: `pending` hold stock that is not sold, and `due` of them have expired."""

    pending: int
    due: int


@dataclass(frozen=True, slots=True)
class DueReservation:
    """Key of an expired reservation, in the order in which they are swept."""

    expire_time: datetime
    reservation_id: UUID


class PostgresStock:
    """Satisfies `ports.Stock`. Stock stays reserved for `reservation_ttl_seconds` unless confirmed or released."""

    def __init__(self, *, database: Database, reservation_ttl_seconds: float) -> None:
        self._database = database
        self._reservation_ttl_seconds = reservation_ttl_seconds

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator["PostgresStockTransaction"]:
        """Run a with block in one transaction."""
        async with self._database.transaction(name) as transaction:
            yield PostgresStockTransaction(transaction, self._reservation_ttl_seconds)

    async def read_levels(self, skus: tuple[str, ...]) -> Mapping[str, StockLevel]:
        """Return the present levels."""
        # Purpose: a read without locks.
        select = "SELECT sku, on_hand, reserved, currency_code, unit_price_minor FROM items WHERE sku = ANY($1)"
        rows = await self._database.fetch("SELECT items", select, skus)
        return {row["sku"]: level_of(row) for row in rows}

    async def read_hints(self, skus: tuple[str, ...]) -> Mapping[str, StockHint]:
        """Return the present hints without unknown SKUs. It is expensive, so callers cache the answer."""
        # Purpose: one pass over an hour of sales for any number of SKUs.
        select = """
            SELECT sku, available, coalesce(units, 0)::bigint AS sold_last_hour
            FROM (SELECT sku, available FROM items WHERE sku = ANY($1)) item LEFT JOIN (
                SELECT sku, sum(quantity) AS units FROM stock_ledger
                WHERE create_time > now() - interval '1 hour' AND kind = 'SOLD' AND sku = ANY($1)
                GROUP BY sku) sold USING (sku)"""
        rows = await self._database.fetch("SELECT stock_ledger", select, skus)
        return {row["sku"]: StockHint(**row) for row in rows}

    async def backlog(self) -> ReservationBacklog:
        """Count the PENDING reservations, and those of them that have expired."""
        # Purpose: both numbers from the index on PENDING reservations.
        select = """
            SELECT count(*) AS pending, count(*) FILTER (WHERE expire_time <= now()) AS due
            FROM reservations WHERE state = 'PENDING'"""
        (row,) = await self._database.fetch("SELECT reservations count", select)
        return ReservationBacklog(**row)

    async def read_due(self, *, after: DueReservation | None, limit: int) -> list[DueReservation]:
        """Return up to `limit` expired reservations, the oldest first, beginning behind `after`."""
        # Purpose: a page of the index on PENDING reservations, without locks.
        select = """
            SELECT expire_time, reservation_id FROM reservations
            WHERE state = 'PENDING' AND expire_time <= now()
                AND ($1::timestamptz IS NULL OR (expire_time, reservation_id) > ($1, $2))
            ORDER BY expire_time, reservation_id LIMIT $3"""
        expire_time, reservation_id = (after.expire_time, after.reservation_id) if after else (None, None)
        rows = await self._database.fetch("SELECT reservations due", select, expire_time, reservation_id, limit)
        return [DueReservation(**row) for row in rows]

    async def count_violations(self) -> int:
        """Count the items whose reserved units differ from those of PENDING reservations."""
        # Purpose: one statement reads one snapshot; it reads only PENDING reservations and items, so it stays cheap.
        select = """
            SELECT count(*) FROM (SELECT sku, reserved FROM items WHERE reserved > 0) item FULL JOIN (
                SELECT sku, sum(quantity) AS held FROM reservations JOIN reservation_lines USING (reservation_id)
                WHERE state = 'PENDING' GROUP BY sku) pending USING (sku)
            WHERE coalesce(reserved, 0) <> coalesce(held, 0)"""
        (row,) = await self._database.fetch("SELECT items violations", select)
        count: int = row["count"]
        return count


class PostgresStockTransaction:
    """Satisfies `ports.StockTransaction`."""

    def __init__(self, transaction: Transaction, reservation_ttl_seconds: float) -> None:
        self._transaction = transaction
        self._reservation_ttl_seconds = reservation_ttl_seconds

    async def claim(self, command: object, request_id: str) -> bool:
        """Claim the request id; return False on a repeat."""
        found = await claim(
            self._transaction, scope="", request_id=request_id, command=command, resource_id=NO_RESOURCE
        )
        return found is None

    async def lock_levels(self, skus: tuple[str, ...]) -> Mapping[str, StockLevel]:
        """Lock the items in order of SKU: without an order, two reservations of the same SKUs can deadlock."""
        select = """
            SELECT sku, on_hand, reserved, currency_code, unit_price_minor FROM items
            WHERE sku = ANY($1) ORDER BY sku FOR NO KEY UPDATE"""
        rows = await self._transaction.fetch("SELECT items FOR UPDATE", select, skus)
        return {row["sku"]: level_of(row) for row in rows}

    async def lock_reservation(self, reservation_id: UUID) -> LockedReservation | None:
        """Lock a reservation and read its lines in one statement."""
        # Purpose: the lock keeps the state that a step is decided on; the time is this database's.
        select = """
            SELECT r.*, l.*, now() AS now FROM reservations r, LATERAL (
                SELECT array_agg(sku ORDER BY line_number) AS skus,
                    array_agg(quantity ORDER BY line_number) AS quantities,
                    array_agg(currency_code ORDER BY line_number) AS currencies,
                    array_agg(unit_price_minor ORDER BY line_number) AS prices
                FROM reservation_lines WHERE reservation_id = $1) l
            WHERE r.reservation_id = $1 FOR NO KEY UPDATE OF r"""
        rows = await self._transaction.fetch("SELECT reservations FOR UPDATE", select, reservation_id)
        return locked_reservation_of(rows[0]) if rows else None

    async def lock_due(self, reservation_id: UUID) -> Reservation | None:
        """Lock a reservation if it has expired, by this database's clock, and no other transaction holds it."""
        # Purpose: any number of sweepers, and none waits for another or for a confirmation.
        select = """
            SELECT FROM reservations WHERE reservation_id = $1 AND state = 'PENDING' AND expire_time <= now()
            FOR NO KEY UPDATE SKIP LOCKED"""
        if not await self._transaction.fetch("SELECT reservations FOR UPDATE", select, reservation_id):
            return None
        locked = await self.lock_reservation(reservation_id)
        return locked.reservation if locked else None

    async def add(self, decision: Decision) -> Reservation:
        """Store the decision; set its lines aside when it is PENDING."""
        held = decision.state is ReservationState.PENDING
        # Purpose: the reservation's row; the id may belong to a tombstone or to another request.
        insert = """
            INSERT INTO reservations (reservation_id, state, shortages, unknown_skus, expire_time)
            VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() + $6 * interval '1 second' END)
            ON CONFLICT (reservation_id) DO NOTHING RETURNING create_time, expire_time"""
        shortages, ttl = shortages_to_json(decision.shortages), self._reservation_ttl_seconds
        arguments = (decision.reservation_id, decision.state.value, shortages, decision.unknown_skus, held, ttl)
        rows = await self._transaction.fetch("INSERT reservations", insert, *arguments)
        if not rows:
            raise await self._why_taken(decision.reservation_id)
        await self._add_lines(decision)
        reservation = reservation_of(decision, rows[0])
        if held:
            await self._move(reservation, SET_ASIDE)
        return reservation

    async def void(self, reservation_id: UUID) -> Reservation | None:
        """Store a tombstone."""
        # Purpose: makes a later ReserveStock fail.
        insert = """
            INSERT INTO reservations (reservation_id, state) VALUES ($1, 'VOIDED')
            ON CONFLICT (reservation_id) DO NOTHING RETURNING create_time"""
        rows = await self._transaction.fetch("INSERT reservations", insert, reservation_id)
        if not rows:
            return None
        return Reservation(reservation_id, ReservationState.VOIDED, (), rows[0]["create_time"], None)

    async def take(self, reservation: Reservation, step: Step) -> Reservation:
        """Change the state of a locked reservation, and move its stock."""
        # Purpose: no condition on the old state, since the row is locked.
        update = "UPDATE reservations SET state = $2, update_time = now() WHERE reservation_id = $1"
        await self._transaction.execute("UPDATE reservations", update, reservation.reservation_id, step.state.value)
        if step.movement:
            await self.lock_levels(tuple(line.sku for line in reservation.lines))
            await self._move(reservation, step.movement)
        return Reservation(
            reservation.reservation_id, step.state, reservation.lines, reservation.create_time, reservation.expire_time
        )

    async def deliver(self, deliveries: tuple[Delivery, ...], prices: Mapping[str, Money], cause: str) -> None:
        """Add units and items, in order of SKU, and write the ledger."""
        ordered = sorted(deliveries, key=lambda delivery: delivery.sku)
        skus, quantities = [line.sku for line in ordered], [line.quantity for line in ordered]
        # Purpose: adds units to known items, inserts new ones, and sets the latest price.
        upsert = """
            INSERT INTO items (sku, on_hand, currency_code, unit_price_minor)
            SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])
            ON CONFLICT (sku) DO UPDATE SET on_hand = items.on_hand + excluded.on_hand,
                currency_code = excluded.currency_code, unit_price_minor = excluded.unit_price_minor"""
        currencies = [prices[sku].currency_code for sku in skus]
        minor_units = [prices[sku].minor_units for sku in skus]
        await self._transaction.execute("INSERT items", upsert, skus, quantities, currencies, minor_units)
        await self._write_ledger("RESTOCKED", skus, quantities, cause)

    async def _add_lines(self, decision: Decision) -> None:
        # Purpose: all lines in one statement.
        insert = """
            INSERT INTO reservation_lines (reservation_id, line_number, sku, quantity, currency_code, unit_price_minor)
            SELECT $1, row_number, sku, quantity, currency_code, unit_price_minor
            FROM unnest($2::text[], $3::int[], $4::text[], $5::bigint[])
                WITH ORDINALITY AS line (sku, quantity, currency_code, unit_price_minor, row_number)"""
        lines = decision.lines
        await self._transaction.execute(
            "INSERT reservation_lines",
            insert,
            decision.reservation_id,
            [line.sku for line in lines],
            [line.quantity for line in lines],
            [line.unit_price and line.unit_price.currency_code for line in lines],
            [line.unit_price and line.unit_price.minor_units for line in lines],
        )

    async def _move(self, reservation: Reservation, movement: Movement) -> None:
        skus = [line.sku for line in reservation.lines]
        quantities = [line.quantity for line in reservation.lines]
        # Purpose: all items in one statement; the condition leaves out an item whose stock would become impossible.
        update = """
            UPDATE items SET on_hand = on_hand + line.quantity * $3, reserved = reserved + line.quantity * $4
            FROM unnest($1::text[], $2::bigint[]) AS line (sku, quantity)
            WHERE items.sku = line.sku AND reserved + line.quantity * $4 BETWEEN 0 AND on_hand + line.quantity * $3"""
        changed = await self._transaction.execute(
            "UPDATE items", update, skus, quantities, movement.on_hand, movement.reserved
        )
        if changed != len(skus):
            raise AssertionError(f"{len(skus) - changed} locked items were not updated: the stock does not add up")
        if movement.ledger_kind:
            await self._write_ledger(movement.ledger_kind, skus, quantities, str(reservation.reservation_id))

    async def _write_ledger(self, kind: str, skus: list[str], quantities: list[int], cause: str) -> None:
        # Purpose: append-only entries, whose sum is on_hand.
        insert = """
            INSERT INTO stock_ledger (sku, kind, quantity, cause)
            SELECT sku, $1, quantity, $4 FROM unnest($2::text[], $3::bigint[]) AS line (sku, quantity)"""
        await self._transaction.execute("INSERT stock_ledger", insert, kind, skus, quantities, cause)

    async def _why_taken(self, reservation_id: UUID) -> ReservationVoided | RequestIdReused:
        # Purpose: no lock, since VOIDED never becomes another state and no other state becomes VOIDED.
        select = "SELECT state FROM reservations WHERE reservation_id = $1"
        (taken,) = await self._transaction.fetch("SELECT reservations", select, reservation_id)
        return ReservationVoided(reservation_id) if taken["state"] == "VOIDED" else RequestIdReused()

"""Conversion of rows into levels and reservations."""

import asyncpg
import orjson

from services.inventory.api import Reservation, ReservationState, ReservedLine, Shortage, StockLevel
from services.inventory.application.ports import LockedReservation
from services.inventory.domain.reservation import Decision
from services.kernel.money import Money


def level_of(row: asyncpg.Record) -> StockLevel:
    """Return the level in a row of `items`."""
    price = Money(row["currency_code"], row["unit_price_minor"])
    return StockLevel(row["sku"], row["on_hand"], row["reserved"], price)


def reservation_of(decision: Decision, row: asyncpg.Record) -> Reservation:
    """Return the reservation that a decision became, with the times of its row."""
    return Reservation(decision.reservation_id, decision.state, decision.lines, row["create_time"], row["expire_time"])


def locked_reservation_of(row: asyncpg.Record) -> LockedReservation:
    """Return the reservation in a row of `reservations` joined with arrays of its lines."""
    columns = (row["skus"] or (), row["quantities"] or (), row["currencies"] or (), row["prices"] or ())
    lines = tuple(
        ReservedLine(sku, quantity, Money(currency, minor) if currency else None)
        for sku, quantity, currency, minor in zip(*columns, strict=True)
    )
    reservation = Reservation(
        row["reservation_id"], ReservationState(row["state"]), lines, row["create_time"], row["expire_time"]
    )
    return LockedReservation(
        reservation, tuple(row["unknown_skus"] or ()), shortages_from_json(row["shortages"]), row["now"]
    )


def shortages_to_json(shortages: tuple[Shortage, ...]) -> str | None:
    """Return shortages as the text of a jsonb column; None for none."""
    return orjson.dumps(shortages).decode() if shortages else None


def shortages_from_json(text: str | None) -> tuple[Shortage, ...]:
    """Return the shortages of a jsonb column."""
    return tuple(Shortage(**shortage) for shortage in orjson.loads(text)) if text else ()

"""The state machine of a reservation: its steps, and the stock that each step moves."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.inventory.api import (
    OutOfStock,
    Reservation,
    ReservationExpired,
    ReservationState,
    ReservationStateConflict,
    ReservationVoided,
    ReservedLine,
    Shortage,
    SkuNotFound,
    StockLevel,
    StockLine,
)


@dataclass(frozen=True, slots=True)
class Movement:
    """Change of an item's stock for each unit of a line.

    on_hand: change of the units in stock.
    reserved: change of the reserved units.
    ledger_kind: kind of the ledger entry; None when on_hand does not change.
    """

    on_hand: int
    reserved: int
    ledger_kind: str | None = None


SET_ASIDE = Movement(on_hand=0, reserved=+1)
SOLD = Movement(on_hand=-1, reserved=-1, ledger_kind="SOLD")
RELEASED = Movement(on_hand=0, reserved=-1)
RETURNED = Movement(on_hand=+1, reserved=0, ledger_kind="RETURNED")


# A repeat of ReserveStock in these states is answered with the reservation. RELEASED is among them: its prices show why
# the order could not be sold, so that two calls for one order reject it for the same reason. RETURNED is not: the order
# was cancelled.
REPEATABLE_STATES = frozenset({ReservationState.PENDING, ReservationState.CONFIRMED, ReservationState.RELEASED})


@dataclass(frozen=True, slots=True)
class Step:
    """A change of state and the movement of stock that it makes, if any."""

    state: ReservationState
    movement: Movement | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Decision on a request to reserve.

    reservation_id: the reservation.
    state: PENDING or REJECTED.
    lines: the requested lines, with prices when PENDING.
    unknown_skus: all SKUs that are not in the catalogue.
    shortages: all short SKUs, when none is unknown.
    """

    reservation_id: UUID
    state: ReservationState
    lines: tuple[ReservedLine, ...]
    unknown_skus: tuple[str, ...] = ()
    shortages: tuple[Shortage, ...] = ()


def find_unknown(skus: tuple[str, ...], levels: Mapping[str, StockLevel]) -> tuple[str, ...]:
    """Return the SKUs without a level, in order."""
    return tuple(sku for sku in skus if sku not in levels)


def find_shortages(lines: tuple[StockLine, ...], levels: Mapping[str, StockLevel]) -> tuple[Shortage, ...]:
    """Return the short lines, in order; every line must have a level."""
    return tuple(
        Shortage(line.sku, line.quantity, available)
        for line in lines
        if (available := levels[line.sku].available) < line.quantity
    )


def decide(reservation_id: UUID, lines: tuple[StockLine, ...], levels: Mapping[str, StockLevel]) -> Decision:
    """Return the decision to reserve all lines or none; unknown SKUs take precedence over short ones."""
    unknown = find_unknown(tuple(line.sku for line in lines), levels)
    shortages = () if unknown else find_shortages(lines, levels)
    rejected = bool(unknown or shortages)
    state = ReservationState.REJECTED if rejected else ReservationState.PENDING
    reserved = tuple(
        ReservedLine(line.sku, line.quantity, None if rejected else levels[line.sku].unit_price) for line in lines
    )
    return Decision(reservation_id, state, reserved, unknown, shortages)


def check_answered(
    reservation: Reservation, unknown_skus: tuple[str, ...], shortages: tuple[Shortage, ...]
) -> Reservation:
    """Return the reservation that answers a ReserveStock; raise the error of a rejected or ended one."""
    if unknown_skus:
        raise SkuNotFound(unknown_skus)
    if shortages:
        raise OutOfStock(reservation.reservation_id, shortages)
    if reservation.state in REPEATABLE_STATES:
        return reservation
    raise ended_error(reservation)


def confirm(reservation: Reservation, *, now: datetime) -> Step | None:
    """Return the step that sells, or that expires when it is too late; None when it is CONFIRMED already.

    Raises ReservationExpired, ReservationVoided, ReservationStateConflict.
    """
    match reservation.state:
        case ReservationState.CONFIRMED:
            return None
        case ReservationState.PENDING if reservation.expire_time and now >= reservation.expire_time:
            return Step(ReservationState.EXPIRED, RELEASED)
        case ReservationState.PENDING:
            return Step(ReservationState.CONFIRMED, SOLD)
    raise ended_error(reservation)


def expire(reservation: Reservation) -> Step:
    """Return the step that expires a reservation. Raises ReservationStateConflict unless it is PENDING."""
    if reservation.state is not ReservationState.PENDING:
        raise ReservationStateConflict(reservation.reservation_id, reservation.state)
    return Step(ReservationState.EXPIRED, RELEASED)


def release(reservation: Reservation) -> Step | None:
    """Return the step that releases; None when it holds nothing. Raises ReservationStateConflict after a sale."""
    match reservation.state:
        case ReservationState.PENDING:
            return Step(ReservationState.RELEASED, RELEASED)
        case ReservationState.CONFIRMED | ReservationState.RETURNED:
            raise ReservationStateConflict(reservation.reservation_id, reservation.state)
    return None


def return_sold(reservation: Reservation) -> Step | None:
    """Return the step that returns sold goods; None when it is RETURNED already. Raises ReservationStateConflict."""
    match reservation.state:
        case ReservationState.CONFIRMED:
            return Step(ReservationState.RETURNED, RETURNED)
        case ReservationState.RETURNED:
            return None
    raise ReservationStateConflict(reservation.reservation_id, reservation.state)


def ended_error(reservation: Reservation) -> ReservationExpired | ReservationVoided | ReservationStateConflict:
    """Return the error of a reservation that ended without a sale."""
    match reservation.state:
        case ReservationState.EXPIRED:
            return ReservationExpired(reservation.reservation_id)
        case ReservationState.VOIDED:
            return ReservationVoided(reservation.reservation_id)
    return ReservationStateConflict(reservation.reservation_id, reservation.state)

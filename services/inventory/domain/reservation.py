"""States of a reservation, the steps between them, and the stock that each step moves."""

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
    """What one unit of a line does to its item's stock."""

    on_hand: int
    reserved: int
    ledger_kind: str | None = None  # the stock ledger knows what changes on_hand


SET_ASIDE = Movement(on_hand=0, reserved=+1)
SOLD = Movement(on_hand=-1, reserved=-1, ledger_kind="SOLD")
GIVEN_BACK = Movement(on_hand=0, reserved=-1)
BROUGHT_BACK = Movement(on_hand=+1, reserved=0, ledger_kind="RETURNED")


# A repeat of ReserveStock is answered with these. What was released is no sale, and its prices still tell why it was
# given back: two calls for one order come to the same reason, whichever of them released. What was returned is left
# out: an order that finds it so was cancelled.
ANSWERED = frozenset({ReservationState.PENDING, ReservationState.CONFIRMED, ReservationState.RELEASED})


@dataclass(frozen=True, slots=True)
class Step:
    """A change of state with the movement it makes; a Movement of None leaves the stock alone."""

    state: ReservationState
    movement: Movement | None


@dataclass(frozen=True, slots=True)
class Decision:
    """How a wish was answered: PENDING with priced lines, or REJECTED with all that is unknown or short."""

    reservation_id: UUID
    state: ReservationState
    lines: tuple[ReservedLine, ...]
    unknown_skus: tuple[str, ...] = ()
    shortages: tuple[Shortage, ...] = ()


def find_unknown(skus: tuple[str, ...], levels: Mapping[str, StockLevel]) -> tuple[str, ...]:
    """Return the SKUs without a level, in order."""
    return tuple(sku for sku in skus if sku not in levels)


def find_shortages(lines: tuple[StockLine, ...], levels: Mapping[str, StockLevel]) -> tuple[Shortage, ...]:
    """Return what is short, in order; every line has a level."""
    return tuple(
        Shortage(line.sku, line.quantity, available)
        for line in lines
        if (available := levels[line.sku].available) < line.quantity
    )


def decide(reservation_id: UUID, lines: tuple[StockLine, ...], levels: Mapping[str, StockLevel]) -> Decision:
    """Reserve all lines or none; an unknown SKU comes before a short one."""
    unknown = find_unknown(tuple(line.sku for line in lines), levels)
    shortages = () if unknown else find_shortages(lines, levels)
    rejected = bool(unknown or shortages)
    state = ReservationState.REJECTED if rejected else ReservationState.PENDING
    kept = tuple(
        ReservedLine(line.sku, line.quantity, None if rejected else levels[line.sku].unit_price) for line in lines
    )
    return Decision(reservation_id, state, kept, unknown, shortages)


def check_answered(
    reservation: Reservation, unknown_skus: tuple[str, ...], shortages: tuple[Shortage, ...]
) -> Reservation:
    """Return the reservation that a ReserveStock made; raise what it ended with when it has no answer any more."""
    if unknown_skus:
        raise SkuNotFound(unknown_skus)
    if shortages:
        raise OutOfStock(reservation.reservation_id, shortages)
    if reservation.state in ANSWERED:
        return reservation
    raise ended(reservation)


def confirm(reservation: Reservation, *, now: datetime) -> Step | None:
    """Return the step that sells, or that expires what came too late; None when it is sold already."""
    match reservation.state:
        case ReservationState.CONFIRMED:
            return None
        case ReservationState.PENDING if reservation.expire_time and now >= reservation.expire_time:
            return Step(ReservationState.EXPIRED, GIVEN_BACK)
        case ReservationState.PENDING:
            return Step(ReservationState.CONFIRMED, SOLD)
    raise ended(reservation)


def expire(reservation: Reservation) -> Step:
    """Return the step that gives back what nobody confirmed in time. Raises ReservationStateConflict."""
    if reservation.state is not ReservationState.PENDING:
        raise ReservationStateConflict(reservation.reservation_id, reservation.state)
    return Step(ReservationState.EXPIRED, GIVEN_BACK)


def release(reservation: Reservation) -> Step | None:
    """Return the step that gives back; None when nothing is held."""
    match reservation.state:
        case ReservationState.PENDING:
            return Step(ReservationState.RELEASED, GIVEN_BACK)
        case ReservationState.CONFIRMED | ReservationState.RETURNED:
            raise ReservationStateConflict(reservation.reservation_id, reservation.state)
    return None


def bring_back(reservation: Reservation) -> Step | None:
    """Return the step that puts sold goods back; None when they are back already."""
    match reservation.state:
        case ReservationState.CONFIRMED:
            return Step(ReservationState.RETURNED, BROUGHT_BACK)
        case ReservationState.RETURNED:
            return None
    raise ReservationStateConflict(reservation.reservation_id, reservation.state)


def ended(reservation: Reservation) -> ReservationExpired | ReservationVoided | ReservationStateConflict:
    """Return the error that says how a reservation ended without a sale."""
    match reservation.state:
        case ReservationState.EXPIRED:
            return ReservationExpired(reservation.reservation_id)
        case ReservationState.VOIDED:
            return ReservationVoided(reservation.reservation_id)
    return ReservationStateConflict(reservation.reservation_id, reservation.state)

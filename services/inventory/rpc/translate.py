"""Translation between proto and api, errors included: the only file of inventory that knows both.

Repeated fields are counted before anything is built from them: a small message may hold 130,000 empty entries.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from google.protobuf.message import Message
from shop.inventory.v1 import inventory_service_pb2 as pb

from services.infra.rpc.errors import Details, ErrorTranslation
from services.infra.rpc.fields import time_from_proto, time_to_proto, uuid_from_text
from services.infra.rpc.money import money_from_proto, money_to_proto, optional_money_to_proto
from services.inventory import api
from services.kernel.errors import ServiceError
from services.kernel.fields import check_count

RESERVATION_ERRORS = {
    kind.reason: kind for kind in (api.ReservationNotFound, api.ReservationExpired, api.ReservationVoided)
}


def stock_lines_from_proto(lines: Sequence[pb.StockLine]) -> tuple[api.StockLine, ...]:
    """Return the requested lines. Raises InvalidField."""
    check_count("lines", lines, most=api.MAX_LINES)
    return tuple(api.StockLine(line.sku, line.quantity) for line in lines)


def check_from_proto(request: pb.CheckAvailabilityRequest) -> api.CheckAvailability:
    """Return the query. Raises InvalidField."""
    return api.CheckAvailability(stock_lines_from_proto(request.lines))


def get_from_proto(request: pb.GetStockRequest) -> api.GetStock:
    """Return the query. Raises InvalidField."""
    check_count("skus", request.skus, most=api.MAX_LINES)
    return api.GetStock(tuple(request.skus))


def hints_from_proto(request: pb.GetStockHintsRequest) -> api.GetStockHints:
    """Return the query. Raises InvalidField."""
    check_count("skus", request.skus, most=api.MAX_HINTS)
    return api.GetStockHints(tuple(request.skus))


def stock_lines_to_proto(lines: tuple[api.StockLine, ...]) -> list[pb.StockLine]:
    """Return the messages of requested lines."""
    return [pb.StockLine(sku=line.sku, quantity=line.quantity) for line in lines]


def reserve_from_proto(request: pb.ReserveStockRequest) -> api.ReserveStock:
    """Return the command. Raises InvalidField."""
    reservation_id = uuid_from_text("reservation_id", request.reservation_id)
    return api.ReserveStock(request.request_id, reservation_id, stock_lines_from_proto(request.lines))


def restock_from_proto(request: pb.RestockRequest) -> api.Restock:
    """Return the command. Raises InvalidField."""
    check_count("lines", request.lines, most=api.MAX_LINES)
    lines = tuple(
        api.Delivery(
            line.sku,
            line.quantity,
            money_from_proto(f"lines[{index}].unit_price", line.unit_price) if line.HasField("unit_price") else None,
        )
        for index, line in enumerate(request.lines)
    )
    return api.Restock(request.request_id, lines)


def restock_to_proto(command: api.Restock) -> pb.RestockRequest:
    """Return the request of a command."""
    lines = [
        pb.Delivery(sku=line.sku, quantity=line.quantity, unit_price=optional_money_to_proto(line.unit_price))
        for line in command.lines
    ]
    return pb.RestockRequest(request_id=command.request_id, lines=lines)


def reservation_to_proto(reservation: api.Reservation) -> pb.Reservation:
    """Return the message of a reservation."""
    lines = [
        pb.ReservedLine(sku=line.sku, quantity=line.quantity, unit_price=optional_money_to_proto(line.unit_price))
        for line in reservation.lines
    ]
    return pb.Reservation(
        reservation_id=str(reservation.reservation_id),
        state=pb.ReservationState.Value(f"RESERVATION_STATE_{reservation.state.value}"),
        lines=lines,
        create_time=time_to_proto(reservation.create_time),
        expire_time=time_to_proto(reservation.expire_time) if reservation.expire_time else None,
    )


def reservation_from_proto(message: pb.Reservation) -> api.Reservation:
    """Return the reservation."""
    lines = tuple(
        api.ReservedLine(
            line.sku,
            line.quantity,
            money_from_proto("unit_price", line.unit_price) if line.HasField("unit_price") else None,
        )
        for line in message.lines
    )
    return api.Reservation(
        UUID(message.reservation_id),
        state_from_proto(message.state),
        lines,
        time_from_proto(message.create_time),
        time_from_proto(message.expire_time) if message.HasField("expire_time") else None,
    )


def state_from_proto(state: pb.ReservationState.ValueType) -> api.ReservationState:
    """Return the state."""
    return api.ReservationState(pb.ReservationState.Name(state).removeprefix("RESERVATION_STATE_"))


def level_to_proto(level: api.StockLevel) -> pb.StockLevel:
    """Return the message of a level."""
    return pb.StockLevel(
        sku=level.sku,
        on_hand=level.on_hand,
        reserved=level.reserved,
        available=level.available,
        unit_price=money_to_proto(level.unit_price),
    )


def level_from_proto(message: pb.StockLevel) -> api.StockLevel:
    """Return the level."""
    price = money_from_proto("unit_price", message.unit_price)
    return api.StockLevel(message.sku, message.on_hand, message.reserved, price)


def hint_to_proto(hint: api.StockHint) -> pb.StockHint:
    """Return the message of a hint."""
    return pb.StockHint(sku=hint.sku, available=hint.available, sold_last_hour=hint.sold_last_hour)


def hint_from_proto(message: pb.StockHint) -> api.StockHint:
    """Return the hint."""
    return api.StockHint(message.sku, message.available, message.sold_last_hour)


def shortage_to_proto(shortage: api.Shortage) -> pb.Shortage:
    """Return the message of a shortage."""
    return pb.Shortage(sku=shortage.sku, requested=shortage.requested, available=shortage.available)


def shortage_from_proto(message: pb.Shortage) -> api.Shortage:
    """Return the shortage."""
    return api.Shortage(message.sku, message.requested, message.available)


def encode_error(error: ServiceError) -> tuple[Mapping[str, str], list[Message]]:
    """Return the ErrorInfo metadata and the further details of an error. Raises TypeError for an unknown error."""
    match error:
        case api.OutOfStock():
            shortages = [shortage_to_proto(shortage) for shortage in error.shortages]
            return {}, [pb.OutOfStockDetail(reservation_id=str(error.reservation_id), shortages=shortages)]
        case api.SkuNotFound():
            return {}, [pb.SkuNotFoundDetail(skus=error.skus)]
        case api.ReservationStateConflict():
            return {"reservation_id": str(error.reservation_id), "state": error.state.value}, []
        case api.ReservationNotFound() | api.ReservationExpired() | api.ReservationVoided():
            return {"reservation_id": str(error.reservation_id)}, []
    raise TypeError(f"{type(error).__name__} has no translation to gRPC")


def decode_error(reason: str, metadata: Mapping[str, str], details: Details) -> ServiceError | None:
    """Return the error with this reason; None when it is none of inventory."""
    match reason:
        case "OUT_OF_STOCK":
            short = details.find(pb.OutOfStockDetail)
            return api.OutOfStock(UUID(short.reservation_id), tuple(map(shortage_from_proto, short.shortages)))
        case "SKU_NOT_FOUND":
            return api.SkuNotFound(tuple(details.find(pb.SkuNotFoundDetail).skus))
        case "RESERVATION_STATE_CONFLICT":
            state = api.ReservationState(metadata["state"])
            return api.ReservationStateConflict(UUID(metadata["reservation_id"]), state)
    if kind := RESERVATION_ERRORS.get(reason):
        return kind(UUID(metadata["reservation_id"]))
    return None


ERRORS = ErrorTranslation("inventory.shop", encode_error, decode_error)

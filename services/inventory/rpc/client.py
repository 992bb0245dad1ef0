"""gRPC client of inventory; satisfies `api.InventoryService`, as the application does."""

from functools import partial

import grpc
from shop.inventory.v1 import inventory_service_pb2 as pb
from shop.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub

from observability.telemetry.telemetry import Telemetry
from services.infra.rpc.client import CALL_SECONDS, RpcClient
from services.inventory import api
from services.inventory.rpc import translate
from services.inventory.rpc.server import SERVICE


class InventoryClient:
    """Calls inventory over a channel, which the caller closes."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        target: str,
        telemetry: Telemetry,
        call_seconds: float = CALL_SECONDS,
        guarded: bool = True,
    ) -> None:
        self._stub = InventoryServiceStub(channel)
        client = partial(
            RpcClient,
            target=target,
            service=SERVICE.full_name,
            telemetry=telemetry,
            errors=translate.ERRORS,
            call_seconds=call_seconds,
            guarded=guarded,
        )
        self._rpc = client()
        # Hints are expensive and may fail. They have a breaker of their own, so that their failures reject no orders.
        self._hints = client(dependency=f"{SERVICE.full_name}/GetStockHints")

    def check(self) -> None:
        """Raise CircuitOpen when a call would be rejected now, since inventory is unavailable."""
        self._rpc.check()

    async def check_availability(self, query: api.CheckAvailability) -> tuple[api.Shortage, ...]:
        """Return the lines that could not be reserved now."""
        request = pb.CheckAvailabilityRequest(lines=translate.stock_lines_to_proto(query.lines))
        response = await self._rpc.call("CheckAvailability", self._stub.CheckAvailability, request)
        return tuple(map(translate.shortage_from_proto, response.shortages))

    async def reserve_stock(self, command: api.ReserveStock) -> api.Reservation:
        """Reserve all or nothing."""
        request = pb.ReserveStockRequest(
            request_id=command.request_id,
            reservation_id=str(command.reservation_id),
            lines=translate.stock_lines_to_proto(command.lines),
        )
        response = await self._rpc.call("ReserveStock", self._stub.ReserveStock, request)
        return translate.reservation_from_proto(response.reservation)

    async def confirm_reservation(self, command: api.ConfirmReservation) -> api.Reservation:
        """Sell what the reservation holds."""
        request = pb.ConfirmReservationRequest(
            request_id=command.request_id, reservation_id=str(command.reservation_id)
        )
        response = await self._rpc.call("ConfirmReservation", self._stub.ConfirmReservation, request)
        return translate.reservation_from_proto(response.reservation)

    async def release_reservation(self, command: api.ReleaseReservation) -> api.Reservation:
        """Release what the reservation holds, or void it before it exists."""
        request = pb.ReleaseReservationRequest(
            request_id=command.request_id, reservation_id=str(command.reservation_id)
        )
        response = await self._rpc.call("ReleaseReservation", self._stub.ReleaseReservation, request)
        return translate.reservation_from_proto(response.reservation)

    async def return_stock(self, command: api.ReturnStock) -> api.Reservation:
        """Return sold goods to the stock."""
        request = pb.ReturnStockRequest(request_id=command.request_id, reservation_id=str(command.reservation_id))
        response = await self._rpc.call("ReturnStock", self._stub.ReturnStock, request)
        return translate.reservation_from_proto(response.reservation)

    async def get_stock(self, query: api.GetStock) -> tuple[api.StockLevel, ...]:
        """Return one level for each SKU."""
        response = await self._rpc.call("GetStock", self._stub.GetStock, pb.GetStockRequest(skus=query.skus))
        return tuple(map(translate.level_from_proto, response.levels))

    async def get_stock_hints(self, query: api.GetStockHints) -> tuple[api.StockHint, ...]:
        """Return one hint for each SKU."""
        request = pb.GetStockHintsRequest(skus=query.skus)
        response = await self._hints.call("GetStockHints", self._stub.GetStockHints, request)
        return tuple(map(translate.hint_from_proto, response.hints))

    async def restock(self, command: api.Restock) -> tuple[api.StockLevel, ...]:
        """Add stock; return the new levels."""
        response = await self._rpc.call("Restock", self._stub.Restock, translate.restock_to_proto(command))
        return tuple(map(translate.level_from_proto, response.levels))

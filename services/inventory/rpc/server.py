"""gRPC server of inventory: each RPC is translated into one call of the api."""

from collections.abc import Mapping

from shop.inventory.v1 import inventory_service_pb2 as pb

from observability.telemetry.telemetry import Telemetry
from services.infra.admission import Priority
from services.infra.rpc.fields import uuid_from_text
from services.infra.rpc.server import Method, RpcServer
from services.inventory import api
from services.inventory.rpc import translate

SERVICE = pb.DESCRIPTOR.services_by_name["InventoryService"]


class InventoryServicer:
    """Answers RPCs by an `api.InventoryService`."""

    def __init__(self, inventory: api.InventoryService) -> None:
        self._inventory = inventory

    def methods(self) -> Mapping[str, tuple[Priority, Method]]:
        """Return each RPC's method, and its priority when requests must be rejected."""
        return {
            "CheckAvailability": (Priority.READ, self.check_availability),
            "ReserveStock": (Priority.BEGIN, self.reserve_stock),
            "ConfirmReservation": (Priority.END, self.confirm_reservation),
            "ReleaseReservation": (Priority.END, self.release_reservation),
            "ReturnStock": (Priority.END, self.return_stock),
            "GetStock": (Priority.READ, self.get_stock),
            "GetStockHints": (Priority.READ, self.get_stock_hints),
            "Restock": (Priority.BEGIN, self.restock),
        }

    async def check_availability(self, request: pb.CheckAvailabilityRequest) -> pb.CheckAvailabilityResponse:
        """Answer CheckAvailability."""
        shortages = await self._inventory.check_availability(translate.check_from_proto(request))
        return pb.CheckAvailabilityResponse(shortages=map(translate.shortage_to_proto, shortages))

    async def reserve_stock(self, request: pb.ReserveStockRequest) -> pb.ReserveStockResponse:
        """Answer ReserveStock."""
        reservation = await self._inventory.reserve_stock(translate.reserve_from_proto(request))
        return pb.ReserveStockResponse(reservation=translate.reservation_to_proto(reservation))

    async def confirm_reservation(self, request: pb.ConfirmReservationRequest) -> pb.ConfirmReservationResponse:
        """Answer ConfirmReservation."""
        reservation_id = uuid_from_text("reservation_id", request.reservation_id)
        command = api.ConfirmReservation(request.request_id, reservation_id)
        reservation = await self._inventory.confirm_reservation(command)
        return pb.ConfirmReservationResponse(reservation=translate.reservation_to_proto(reservation))

    async def release_reservation(self, request: pb.ReleaseReservationRequest) -> pb.ReleaseReservationResponse:
        """Answer ReleaseReservation."""
        reservation_id = uuid_from_text("reservation_id", request.reservation_id)
        command = api.ReleaseReservation(request.request_id, reservation_id)
        reservation = await self._inventory.release_reservation(command)
        return pb.ReleaseReservationResponse(reservation=translate.reservation_to_proto(reservation))

    async def return_stock(self, request: pb.ReturnStockRequest) -> pb.ReturnStockResponse:
        """Answer ReturnStock."""
        reservation_id = uuid_from_text("reservation_id", request.reservation_id)
        reservation = await self._inventory.return_stock(api.ReturnStock(request.request_id, reservation_id))
        return pb.ReturnStockResponse(reservation=translate.reservation_to_proto(reservation))

    async def get_stock(self, request: pb.GetStockRequest) -> pb.GetStockResponse:
        """Answer GetStock."""
        levels = await self._inventory.get_stock(translate.get_from_proto(request))
        return pb.GetStockResponse(levels=map(translate.level_to_proto, levels))

    async def get_stock_hints(self, request: pb.GetStockHintsRequest) -> pb.GetStockHintsResponse:
        """Answer GetStockHints."""
        hints = await self._inventory.get_stock_hints(translate.hints_from_proto(request))
        return pb.GetStockHintsResponse(hints=map(translate.hint_to_proto, hints))

    async def restock(self, request: pb.RestockRequest) -> pb.RestockResponse:
        """Answer Restock."""
        levels = await self._inventory.restock(translate.restock_from_proto(request))
        return pb.RestockResponse(levels=map(translate.level_to_proto, levels))


def add_inventory_service(server: RpcServer, inventory: api.InventoryService, *, telemetry: Telemetry) -> None:
    """Register the service, answered by `inventory`, with a server."""
    methods = InventoryServicer(inventory).methods()
    server.add(SERVICE, methods, telemetry=telemetry, errors=translate.ERRORS)

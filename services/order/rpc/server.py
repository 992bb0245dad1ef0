"""gRPC server of orders: each RPC is translated into one call of the api."""

from collections.abc import Mapping

from shop.order.v1 import order_service_pb2 as pb

from observability.telemetry.telemetry import Telemetry
from services.infra.admission import Priority
from services.infra.rpc.server import Method, RpcServer
from services.order import api
from services.order.rpc import translate

SERVICE = pb.DESCRIPTOR.services_by_name["OrderService"]


class OrderServicer:
    """Answers RPCs by an `api.OrderService`."""

    def __init__(self, orders: api.OrderService) -> None:
        self._orders = orders

    def methods(self) -> Mapping[str, tuple[Priority, Method]]:
        """Return each RPC's method, and its priority when requests must be rejected."""
        return {
            "PlaceOrder": (Priority.BEGIN, self.place_order),
            "GetOrder": (Priority.READ, self.get_order),
            "CancelOrder": (Priority.END, self.cancel_order),
            "ListOrders": (Priority.LIST, self.list_orders),
        }

    async def place_order(self, request: pb.PlaceOrderRequest) -> pb.PlaceOrderResponse:
        """Answer PlaceOrder."""
        order = await self._orders.place_order(translate.place_from_proto(request))
        return pb.PlaceOrderResponse(order=translate.order_to_proto(order), consistency_token=order.consistency_token)

    async def get_order(self, request: pb.GetOrderRequest) -> pb.GetOrderResponse:
        """Answer GetOrder."""
        order = await self._orders.get_order(translate.get_from_proto(request))
        return pb.GetOrderResponse(order=translate.order_to_proto(order), consistency_token=order.consistency_token)

    async def cancel_order(self, request: pb.CancelOrderRequest) -> pb.CancelOrderResponse:
        """Answer CancelOrder."""
        order = await self._orders.cancel_order(translate.cancel_from_proto(request))
        return pb.CancelOrderResponse(order=translate.order_to_proto(order), consistency_token=order.consistency_token)

    async def list_orders(self, request: pb.ListOrdersRequest) -> pb.ListOrdersResponse:
        """Answer ListOrders."""
        return translate.page_to_proto(await self._orders.list_orders(translate.list_from_proto(request)))


def add_order_service(
    server: RpcServer, orders: api.OrderService, *, telemetry: Telemetry, continues_traces: bool = True
) -> None:
    """Register the service, answered by `orders`, with a server."""
    methods = OrderServicer(orders).methods()
    server.add(SERVICE, methods, telemetry=telemetry, errors=translate.ERRORS, continues_traces=continues_traces)

"""gRPC client of orders; satisfies `api.OrderService`, as the application does."""

import grpc
from shop.order.v1 import order_service_pb2 as pb
from shop.order.v1.order_service_pb2_grpc import OrderServiceStub

from observability.telemetry.telemetry import Telemetry
from services.infra.rpc.client import RpcClient
from services.order import api
from services.order.rpc import translate
from services.order.rpc.server import SERVICE

# Longer than other calls: PlaceOrder itself makes two calls to inventory.
CALL_SECONDS = 5.0


class OrderClient:
    """Calls orders over a channel, which the caller closes."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        *,
        target: str,
        telemetry: Telemetry,
        call_seconds: float = CALL_SECONDS,
        guarded: bool = True,
    ) -> None:
        self._stub = OrderServiceStub(channel)
        self._rpc = RpcClient(
            target=target,
            service=SERVICE.full_name,
            telemetry=telemetry,
            errors=translate.ERRORS,
            call_seconds=call_seconds,
            guarded=guarded,
        )

    async def place_order(self, command: api.PlaceOrder) -> api.Order:
        """Return the order CONFIRMED or PENDING."""
        response = await self._rpc.call("PlaceOrder", self._stub.PlaceOrder, translate.place_to_proto(command))
        return translate.order_from_proto(response)

    async def get_order(self, query: api.GetOrder) -> api.Order:
        """Return the order."""
        request = pb.GetOrderRequest(
            order_id=str(query.order_id),
            customer_id=str(query.customer_id),
            consistency_token=query.consistency_token,
        )
        response = await self._rpc.call("GetOrder", self._stub.GetOrder, request)
        return translate.order_from_proto(response)

    async def cancel_order(self, command: api.CancelOrder) -> api.Order:
        """Return the order CANCELLED, or with `cancellation_requested`."""
        request = pb.CancelOrderRequest(
            request_id=command.request_id, order_id=str(command.order_id), customer_id=str(command.customer_id)
        )
        response = await self._rpc.call("CancelOrder", self._stub.CancelOrder, request)
        return translate.order_from_proto(response)

    async def list_orders(self, query: api.ListOrders) -> api.OrderPage:
        """Return a page."""
        request = pb.ListOrdersRequest(
            customer_id=str(query.customer_id),
            page_size=query.page_size,
            page_token=query.page_token,
            consistency_token=query.consistency_token,
        )
        response = await self._rpc.call("ListOrders", self._stub.ListOrders, request)
        return translate.page_from_proto(response)

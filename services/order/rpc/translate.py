"""Translation between proto and api, errors included: the only file of orders that knows both.

Repeated fields are counted before anything is built from them: a small message may hold 130,000 empty entries.
"""

from collections.abc import Mapping
from uuid import UUID

from google.protobuf.message import Message
from shop.order.v1 import order_service_pb2 as pb

from services.infra.rpc.errors import Details, ErrorTranslation
from services.infra.rpc.fields import time_from_proto, time_to_proto, uuid_from_text
from services.infra.rpc.money import money_from_proto, optional_money_to_proto
from services.kernel.errors import ServiceError
from services.kernel.fields import check_count
from services.order import api


def place_from_proto(request: pb.PlaceOrderRequest) -> api.PlaceOrder:
    """Return the command. Raises InvalidField."""
    customer_id = uuid_from_text("customer_id", request.customer_id)
    check_count("lines", request.lines, most=api.MAX_LINES)
    lines = tuple(api.OrderLine(line.sku, line.quantity) for line in request.lines)
    return api.PlaceOrder(request.request_id, customer_id, lines, respond_async=request.respond_async)


def place_to_proto(command: api.PlaceOrder) -> pb.PlaceOrderRequest:
    """Return the request of a command."""
    lines = [pb.OrderLine(sku=line.sku, quantity=line.quantity) for line in command.lines]
    return pb.PlaceOrderRequest(
        request_id=command.request_id,
        customer_id=str(command.customer_id),
        lines=lines,
        respond_async=command.respond_async,
    )


def cancel_from_proto(request: pb.CancelOrderRequest) -> api.CancelOrder:
    """Return the command. Raises InvalidField."""
    order_id = uuid_from_text("order_id", request.order_id)
    return api.CancelOrder(request.request_id, uuid_from_text("customer_id", request.customer_id), order_id)


def get_from_proto(request: pb.GetOrderRequest) -> api.GetOrder:
    """Return the query. Raises InvalidField."""
    order_id = uuid_from_text("order_id", request.order_id)
    customer_id = uuid_from_text("customer_id", request.customer_id)
    return api.GetOrder(customer_id, order_id, request.consistency_token)


def list_from_proto(request: pb.ListOrdersRequest) -> api.ListOrders:
    """Return the query; a page size of 0 is the default. Raises InvalidField."""
    customer_id = uuid_from_text("customer_id", request.customer_id)
    page_size = request.page_size or api.DEFAULT_PAGE_SIZE
    return api.ListOrders(customer_id, page_size, request.page_token, request.consistency_token)


def order_to_proto(order: api.Order) -> pb.Order:
    """Return the message of an order."""
    lines = [
        pb.PricedLine(sku=line.sku, quantity=line.quantity, unit_price=optional_money_to_proto(line.unit_price))
        for line in order.lines
    ]
    return pb.Order(
        order_id=str(order.order_id),
        customer_id=str(order.customer_id),
        state=pb.OrderState.Value(f"ORDER_STATE_{order.state.value}"),
        lines=lines,
        total=optional_money_to_proto(order.total),
        rejection=rejection_to_proto(order.rejection) if order.rejection else None,
        create_time=time_to_proto(order.create_time),
        update_time=time_to_proto(order.update_time),
        version=order.version,
        cancellation_requested=order.cancellation_requested,
    )


def order_from_proto(response: "pb.PlaceOrderResponse | pb.GetOrderResponse | pb.CancelOrderResponse") -> api.Order:
    """Return the order of a response, with its consistency token."""
    message = response.order
    lines = tuple(
        api.PricedLine(
            line.sku,
            line.quantity,
            money_from_proto("unit_price", line.unit_price) if line.HasField("unit_price") else None,
        )
        for line in message.lines
    )
    return api.Order(
        order_id=UUID(message.order_id),
        customer_id=UUID(message.customer_id),
        state=state_from_proto(message.state),
        cancellation_requested=message.cancellation_requested,
        lines=lines,
        total=money_from_proto("total", message.total) if message.HasField("total") else None,
        rejection=rejection_from_proto(message.rejection) if message.HasField("rejection") else None,
        create_time=time_from_proto(message.create_time),
        update_time=time_from_proto(message.update_time),
        version=message.version,
        consistency_token=response.consistency_token,
    )


def state_from_proto(state: pb.OrderState.ValueType) -> api.OrderState:
    """Return the state."""
    return api.OrderState(pb.OrderState.Name(state).removeprefix("ORDER_STATE_"))


def rejection_to_proto(rejection: api.Rejection) -> pb.Rejection:
    """Return the message of a rejection."""
    shortages = [shortage_to_proto(shortage) for shortage in rejection.shortages]
    return pb.Rejection(reason=rejection.reason, shortages=shortages, skus=rejection.skus)


def rejection_from_proto(message: pb.Rejection) -> api.Rejection:
    """Return the rejection."""
    return api.Rejection(message.reason, tuple(map(shortage_from_proto, message.shortages)), tuple(message.skus))


def shortage_to_proto(shortage: api.Shortage) -> pb.Shortage:
    """Return the message of a shortage."""
    return pb.Shortage(sku=shortage.sku, requested=shortage.requested, available=shortage.available)


def shortage_from_proto(message: pb.Shortage) -> api.Shortage:
    """Return the shortage."""
    return api.Shortage(message.sku, message.requested, message.available)


def page_to_proto(page: api.OrderPage) -> pb.ListOrdersResponse:
    """Return the response of a page."""
    orders = [
        pb.OrderSummary(
            order_id=str(order.order_id),
            state=pb.OrderState.Value(f"ORDER_STATE_{order.state.value}"),
            line_count=order.line_count,
            total=optional_money_to_proto(order.total),
            create_time=time_to_proto(order.create_time),
        )
        for order in page.orders
    ]
    return pb.ListOrdersResponse(orders=orders, next_page_token=page.next_page_token)


def page_from_proto(message: pb.ListOrdersResponse) -> api.OrderPage:
    """Return the page."""
    orders = tuple(
        api.OrderSummary(
            order_id=UUID(order.order_id),
            state=state_from_proto(order.state),
            line_count=order.line_count,
            total=money_from_proto("total", order.total) if order.HasField("total") else None,
            create_time=time_from_proto(order.create_time),
        )
        for order in message.orders
    )
    return api.OrderPage(orders, message.next_page_token)


def encode_error(error: ServiceError) -> tuple[Mapping[str, str], list[Message]]:
    """Return the ErrorInfo metadata and the further details of an error. Raises TypeError for an unknown error."""
    match error:
        case api.OutOfStock():
            shortages = [shortage_to_proto(shortage) for shortage in error.shortages]
            return {}, [pb.OutOfStockDetail(order_id=str(error.order_id), shortages=shortages)]
        case api.SkuNotFound():
            return {}, [pb.SkuNotFoundDetail(order_id=str(error.order_id), skus=error.skus)]
        case api.OrderRejected():
            return {"order_id": str(error.order_id), "rejection_reason": error.rejection_reason}, []
        case api.OrderNotFound() | api.OrderNotCancellable() | api.VersionConflict():
            return {"order_id": str(error.order_id)}, []
    raise TypeError(f"{type(error).__name__} has no translation to gRPC")


def decode_error(reason: str, metadata: Mapping[str, str], details: Details) -> ServiceError | None:
    """Return the error with this reason; None when it is none of orders."""
    match reason:
        case "OUT_OF_STOCK":
            short = details.find(pb.OutOfStockDetail)
            return api.OutOfStock(UUID(short.order_id), tuple(map(shortage_from_proto, short.shortages)))
        case "SKU_NOT_FOUND":
            unknown = details.find(pb.SkuNotFoundDetail)
            return api.SkuNotFound(UUID(unknown.order_id), tuple(unknown.skus))
        case "ORDER_REJECTED":
            return api.OrderRejected(UUID(metadata["order_id"]), metadata["rejection_reason"])
        case "READ_MODEL_BEHIND":
            return api.ReadModelBehind(details.retry_after_seconds)
    by_order = {kind.reason: kind for kind in (api.OrderNotFound, api.OrderNotCancellable, api.VersionConflict)}
    return by_order[reason](UUID(metadata["order_id"])) if reason in by_order else None


ERRORS = ErrorTranslation("order.shop", encode_error, decode_error)

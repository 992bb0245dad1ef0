"""Answers about an order: its view, or the error that says why it was rejected."""

from services.order import api
from services.order.api import OrderRejected, OutOfStock, SkuNotFound
from services.order.consistency_token import OrderVersion, TokenKeys
from services.order.domain.order import Order


def view(order: Order, keys: TokenKeys) -> api.Order:
    """Return the order as the api shows it, with its consistency token."""
    return api.Order(
        order_id=order.order_id,
        customer_id=order.customer_id,
        state=order.state,
        cancellation_requested=order.cancellation_requested,
        lines=order.lines,
        total=order.total,
        rejection=order.rejection,
        create_time=order.create_time,
        update_time=order.update_time,
        version=order.version,
        consistency_token=keys.sign(OrderVersion(order.customer_id, order.order_id, order.version)),
    )


def raise_rejection(order: Order) -> None:
    """Raise the error of a rejected order, the same on every repeat; return for any other order."""
    if order.rejection is None:
        return
    match order.rejection.reason:
        case "OUT_OF_STOCK":
            raise OutOfStock(order.order_id, order.rejection.shortages)
        case "SKU_NOT_FOUND":
            raise SkuNotFound(order.order_id, order.rejection.skus)
        case reason:
            raise OrderRejected(order.order_id, reason)

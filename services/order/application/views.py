"""View of an order, as its callers see it."""

from services.order import api
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

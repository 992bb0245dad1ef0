"""What does a caller see of an order?"""

from services.order import api
from services.order.domain.order import Order


def view(order: Order) -> api.Order:
    """Return the order as the api shows it."""
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
    )

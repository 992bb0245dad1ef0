"""Check I2: each idempotency key belongs to one order, and each order to one place request, by the keys' digests."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from observability.invariants.snapshot_reader import Reader, grouped, side_by_side
from observability.invariants.target import Tally
from services.infra.idempotency import matches
from services.kernel.errors import InvalidField
from services.order.api import CancelOrder, OrderLine, PlaceOrder

I2 = "a key has exactly one order, and an order exactly one placing"
KEYS = "SELECT resource_id, scope, request_id, digest FROM idempotency_keys ORDER BY resource_id"
ORDERS = """
    SELECT o.order_id, customer_id, l.* FROM orders o, LATERAL (
        SELECT array_agg(sku ORDER BY line_number) AS skus, array_agg(quantity ORDER BY line_number) AS quantities
        FROM order_lines WHERE order_id = o.order_id) l
    ORDER BY o.order_id"""


@dataclass(frozen=True, slots=True)
class Ordered:
    """Content of an order, to be compared with the digests of keys."""

    order_id: UUID
    customer_id: UUID
    lines: tuple[OrderLine, ...]

    @classmethod
    def of(cls, row: asyncpg.Record) -> "Ordered":
        """Return the order in a row."""
        lines = zip(row["skus"] or (), row["quantities"] or (), strict=True)
        return cls(row["order_id"], row["customer_id"], tuple(OrderLine(*line) for line in lines))

    def is_placed_by(self, key: asyncpg.Record) -> bool:
        """Return whether a key belongs to the request that placed this order."""
        command = PlaceOrder(key["request_id"], self.customer_id, self.lines)
        return matches(key["digest"], command)

    def is_cancelled_by(self, key: asyncpg.Record) -> bool:
        """Return whether a key belongs to a request to cancel this order."""
        command = CancelOrder(key["request_id"], self.customer_id, self.order_id)
        return matches(key["digest"], command)


async def check_keys(orders: Reader) -> Tally:
    """Compare the keys with their orders; both are read in order of the order's id."""
    i2 = Tally("I2", I2)
    pairs = side_by_side(
        orders.stream(ORDERS, by=("order_id",)),
        grouped(orders.stream(KEYS, by=("resource_id",)), by="resource_id"),
        left_key=lambda row: row["order_id"],
        right_key=lambda group: group[0]["resource_id"],
    )
    async for row, keys in pairs:
        i2.counted += len(keys or ())
        if row is None:
            for key in keys or ():
                i2.violated(f"key {key['request_id']} leads to order {key['resource_id']}, which is not there")
        else:
            check_placing(Ordered.of(row), keys or (), i2)
    return i2


def check_placing(order: Ordered, keys: Sequence[asyncpg.Record], i2: Tally) -> None:
    """Report an order without exactly one place request, and keys of no request about it."""
    try:
        placings = [key for key in keys if order.is_placed_by(key)]
        others = [key for key in keys if key not in placings and not order.is_cancelled_by(key)]
    except InvalidField as error:
        i2.violated(f"order {order.order_id} has content that no request can have: {error.reason}")
        return
    if len(placings) != 1:
        i2.violated(f"order {order.order_id} was placed by {len(placings)} keys")
    for key in others:
        i2.violated(f"key {key['request_id']} is of no request about order {order.order_id}, to which it leads")
    for key in keys:
        if key["scope"] != str(order.customer_id):
            i2.violated(f"key {key['request_id']} of order {order.order_id} is in the scope of another customer")

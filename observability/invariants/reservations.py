"""Check I5: orders and reservations agree.

Orders are read before inventory. An order's final state is stored after its reservation's, so a final order has a final
reservation in the later read. A reservation's order is stored before it, so a missing order is looked up again.
"""

from uuid import UUID

import asyncpg

from observability.invariants.snapshot_reader import Reader, side_by_side
from observability.invariants.target import Tally

I5 = "an order is CONFIRMED exactly when its reservation is, with the same lines; no other order holds stock"
ORDERS = """
    SELECT order_id, state, cancellation_requested, l.* FROM orders o, LATERAL (
        SELECT array_agg(sku || ' x ' || quantity ORDER BY sku) AS lines,
            array_agg(unit_price_minor ORDER BY sku) AS prices
        FROM order_lines WHERE order_id = o.order_id) l
    ORDER BY order_id"""
RESERVATIONS = """
    SELECT reservation_id, state, l.* FROM reservations r, LATERAL (
        SELECT array_agg(sku || ' x ' || quantity ORDER BY sku) AS lines,
            array_agg(unit_price_minor ORDER BY sku) AS prices
        FROM reservation_lines WHERE reservation_id = r.reservation_id) l
    ORDER BY reservation_id"""
BATCH_SIZE = 1_000
HELD_NOTHING = frozenset({"RELEASED", "RETURNED", "VOIDED", "EXPIRED", "REJECTED"})
# RETURNED with CONFIRMED: the order was cancelled after it had been read.
MATCHING = {
    "CONFIRMED": frozenset({"CONFIRMED", "RETURNED"}),
    "CANCELLED": HELD_NOTHING,
    "REJECTED": HELD_NOTHING,
    "PENDING": HELD_NOTHING | {"none", "PENDING", "CONFIRMED"},
}


class Agreement:
    """Compares a snapshot of the orders with a later one of the reservations; `now` reads orders after both."""

    def __init__(self, *, orders: Reader, inventory: Reader, now: Reader) -> None:
        self._orders = orders
        self._inventory = inventory
        self._now = now
        self._strays: list[UUID] = []
        self._returned: list[UUID] = []
        self._tally = Tally("I5", I5)

    async def check(self) -> Tally:
        """Run the check and return its tally."""
        pairs = side_by_side(
            self._orders.stream(ORDERS, by=("order_id",)),
            self._inventory.stream(RESERVATIONS, by=("reservation_id",)),
            left_key=lambda row: row["order_id"],
            right_key=lambda row: row["reservation_id"],
        )
        async for order, reservation in pairs:
            self._tally.counted += 1
            if order is not None:
                self._compare(order, reservation)
            elif reservation is not None:
                self._strays.append(reservation["reservation_id"])
            if len(self._strays) + len(self._returned) >= BATCH_SIZE:
                await self._look_again()
        await self._look_again()
        return self._tally

    def _compare(self, order: asyncpg.Record, reservation: asyncpg.Record | None) -> None:
        state, found = order["state"], reservation["state"] if reservation else "none"
        if found not in MATCHING[state]:
            self._tally.violated(f"order {order['order_id']} is {state}, its reservation {found}")
        elif state == "CONFIRMED" and found == "RETURNED" and not order["cancellation_requested"]:
            self._returned.append(order["order_id"])
        if reservation is None or found == "VOIDED":  # a tombstone has no lines
            return
        if order["lines"] != reservation["lines"]:
            self._tally.violated(f"order {order['order_id']} has other lines than its reservation")
        elif state == "CONFIRMED" and order["prices"] != reservation["prices"]:
            self._tally.violated(f"order {order['order_id']} has other prices than its reservation")

    async def _look_again(self) -> None:
        """Look up orders that were placed or cancelled after the snapshot, and report those that were not."""
        order_ids = (*self._strays, *self._returned)
        select = "SELECT order_id, cancellation_requested FROM orders WHERE order_id = ANY($1)"
        now = {row["order_id"]: row["cancellation_requested"] for row in await self._now.rows(select, order_ids)}
        for order_id in self._strays:
            if order_id not in now:
                self._tally.violated(f"reservation {order_id} is of no order")
        for order_id in self._returned:
            if not now.get(order_id):
                self._tally.violated(f"order {order_id} is CONFIRMED, its reservation RETURNED")
        self._strays, self._returned = [], []

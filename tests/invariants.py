"""Does the shop add up? The invariants that hold whenever nothing is in flight, read from the two databases."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from services.local.endpoints import Endpoints

CONFIRMED = """
    (SELECT reservation_id::text, sku, quantity::bigint FROM reservation_lines JOIN reservations USING (reservation_id)
    WHERE state IN ('CONFIRMED', 'RETURNED'))"""
SOLD = "(SELECT cause, sku, quantity FROM stock_ledger WHERE kind = 'SOLD')"
INVENTORY = {
    "on_hand is what the ledger adds up to": """
        SELECT sku FROM items LEFT JOIN (
            SELECT sku, sum(CASE kind WHEN 'SOLD' THEN -quantity ELSE quantity END) AS total
            FROM stock_ledger GROUP BY sku) ledger USING (sku)
        WHERE on_hand <> coalesce(total, 0)""",
    "reserved is what pending reservations hold": """
        SELECT sku FROM items LEFT JOIN (
            SELECT sku, sum(quantity) AS held FROM reservation_lines JOIN reservations USING (reservation_id)
            WHERE state = 'PENDING' GROUP BY sku) pending USING (sku)
        WHERE reserved <> coalesce(held, 0)""",
    "nothing is oversold": "SELECT sku FROM items WHERE available < 0 OR on_hand <> available + reserved",
    "what was confirmed was sold": f"{CONFIRMED} EXCEPT ALL {SOLD}",
    "what was sold was confirmed": f"{SOLD} EXCEPT ALL {CONFIRMED}",
}
ORDER = {
    "every order has reached its end": "SELECT order_id FROM orders WHERE state = 'PENDING'",
    "a key has one order": """
        SELECT resource_id FROM idempotency_keys LEFT JOIN orders ON order_id = resource_id WHERE order_id IS NULL""",
    "an order has all its lines": """
        SELECT order_id FROM orders o
        WHERE line_count <> (SELECT count(*) FROM order_lines WHERE order_id = o.order_id)""",
}
# The order's state as it must be beside its reservation's.
PAIRS = {"CONFIRMED": {"CONFIRMED"}, "CANCELLED": {"RELEASED", "RETURNED", "VOIDED", "EXPIRED", "REJECTED"}}
HELD = {"PENDING", "CONFIRMED"}


async def violations(*, order_dsn: str, inventory_dsn: str) -> list[str]:
    """Return a sentence for each invariant that does not hold; an empty list is the answer to hope for."""
    found = await broken(inventory_dsn, INVENTORY) + await broken(order_dsn, ORDER)
    orders, inventory = await asyncpg.connect(order_dsn), await asyncpg.connect(inventory_dsn)
    try:
        return found + await mismatches(orders, inventory)
    finally:
        await orders.close()
        await inventory.close()


async def broken(dsn: str, queries: Mapping[str, str]) -> list[str]:
    """Return a sentence for each query that finds a row."""
    connection = await asyncpg.connect(dsn)
    try:
        return [
            f"not so for {len(rows)}, such as {rows[0][0]}: {name}"
            for name, query in queries.items()
            if (rows := await connection.fetch(query))
        ]
    finally:
        await connection.close()


async def mismatches(
    orders: "asyncpg.Connection[asyncpg.Record]", inventory: "asyncpg.Connection[asyncpg.Record]"
) -> list[str]:
    """Return what is wrong between the two databases: an order is confirmed exactly when its reservation is."""
    reservations = {
        row["reservation_id"]: (row["state"], row["lines"])
        for row in await inventory.fetch(
            "SELECT reservation_id, state, (SELECT array_agg(sku || ':' || quantity ORDER BY sku)"
            " FROM reservation_lines l WHERE l.reservation_id = r.reservation_id) AS lines FROM reservations r"
        )
    }
    found = []
    for row in await orders.fetch(
        "SELECT order_id, state, (SELECT array_agg(sku || ':' || quantity ORDER BY sku)"
        " FROM order_lines l WHERE l.order_id = o.order_id) AS lines FROM orders o"
    ):
        state, lines = reservations.pop(row["order_id"], ("none", None))
        if row["state"] in PAIRS and state not in PAIRS[row["state"]]:
            found.append(f"order {row['order_id']} is {row['state']}, its reservation {state}")
        elif row["state"] == "CONFIRMED" and lines != row["lines"]:
            found.append(f"order {row['order_id']} sold other lines than its reservation")
        elif row["state"] == "REJECTED" and state in HELD:
            found.append(f"order {row['order_id']} is REJECTED, its reservation {state}")
    strays = [key for key, (state, _) in reservations.items() if state in HELD]
    return found + [f"reservation {key} holds stock for no order" for key in strays]


if __name__ == "__main__":  # python -m tests.invariants out/up/8400.json
    databases = Endpoints.load(Path(sys.argv[1])).databases
    result = asyncio.run(violations(order_dsn=databases["order"], inventory_dsn=databases["inventory"]))
    sys.exit("\n".join(result) or None)

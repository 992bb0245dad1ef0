"""Tamperings with stock, orders and reservations, one of each clause of invariants 1 to 5."""

from tests.integration.invariants.tampering import (
    FROM_SOLD,
    NOBODY,
    REFUSED,
    RETURNED_LINE,
    SOLD,
    SOLD_LINE,
    SOLD_RESERVATION,
    Tampering,
    tampering,
)

STOCK = (
    tampering(
        "more on hand", "inventory", "UPDATE items SET on_hand = on_hand + 1 WHERE sku = 'A'", "I1", "on_hand is not"
    ),
    tampering(
        "more reserved",
        "inventory",
        "UPDATE items SET reserved = reserved + 1 WHERE sku = 'A'",
        "I1",
        "reserved is not",
    ),
    tampering("an item gone", "inventory", "DELETE FROM items WHERE sku = 'A'", "I1", "sku A, on_hand None"),
    tampering(
        "a delivery gone", "inventory", "DELETE FROM stock_ledger WHERE kind = 'RESTOCKED'", "I1", "on_hand is not"
    ),
    tampering(
        "a delivery of nothing known",
        "inventory",
        "INSERT INTO stock_ledger (sku, kind, quantity, cause) VALUES ('X', 'RESTOCKED', 1, '')",
        "I1",
        "sku X",
    ),
    tampering(
        "a sale of another reservation",
        "inventory",
        f"UPDATE stock_ledger SET cause = {NOBODY} WHERE entry_id = {SOLD_LINE}",
        "I1",
        "it was confirmed and not sold",
    ),
    tampering(
        "a return of another reservation",
        "inventory",
        f"UPDATE stock_ledger SET cause = {NOBODY} WHERE entry_id = {RETURNED_LINE}",
        "I1",
        "it was returned and is not back",
    ),
    tampering(
        "a sale in two steps",
        "inventory",
        f"""
        WITH one AS (UPDATE stock_ledger SET quantity = quantity - 1 WHERE entry_id = {SOLD_LINE} RETURNING *)
        INSERT INTO stock_ledger (sku, kind, quantity, cause) SELECT sku, kind, 1, cause FROM one""",
        "I1 I4",
        "it was sold and not confirmed",
    ),
    tampering(
        "a reservation that nobody expired",
        "inventory",
        f"INSERT INTO reservations (reservation_id, state, expire_time) VALUES ({NOBODY}, 'PENDING', '2020-01-01')",
        "I4 I5",
        f"reservation {NOBODY.strip(chr(39))}",
    ),
    tampering(
        "a reservation without an end",
        "inventory",
        f"INSERT INTO reservations (reservation_id, state) VALUES ({NOBODY}, 'PENDING')",
        "I4 I5",
        "it holds stock for ever",
    ),
)
ORDERS = (
    tampering(
        "a key gone", "order", f"DELETE FROM idempotency_keys WHERE resource_id = {SOLD}", "I2", "placed by 0 keys"
    ),
    tampering(
        "a key without its order",
        "order",
        f"UPDATE idempotency_keys SET resource_id = {NOBODY} WHERE resource_id = {SOLD}",
        "I2",
        "which is not there",
    ),
    tampering(
        "a key of another order",
        "order",
        f"UPDATE idempotency_keys SET resource_id = {REFUSED} WHERE resource_id = {SOLD}",
        "I2",
        "is of no request about order",
    ),
    tampering(
        "a key of another customer",
        "order",
        f"UPDATE idempotency_keys SET scope = {NOBODY} WHERE resource_id = {SOLD}",
        "I2",
        "in the scope of another customer",
    ),
    tampering(
        "a line in another logical shard than its order",
        "order",
        f"UPDATE order_lines SET logical_shard = 255 - logical_shard WHERE order_id = {SOLD} AND line_number = 1",
        "I2",
        "it is in another logical shard than its order: table order_lines",
    ),
    tampering(
        "a map that names another server for all orders",
        "order",
        "INSERT INTO shard_map (epoch, servers) SELECT 1, array_fill(1, ARRAY[256])",
        "I2",
        "server 0 has rows in orders of a logical shard that is elsewhere",
    ),
    tampering(
        "an order without its saga",
        "order",
        f"UPDATE orders SET state = 'PENDING' WHERE order_id = {SOLD}",
        "I3 I7",
        "has no saga",
    ),
    tampering(
        "a saga of a finished order",
        "order",
        f"INSERT INTO sagas (order_id, due_time, logical_shard) SELECT order_id, now(), logical_shard {FROM_SOLD}",
        "I3",
        "it is finished and still has a saga",
    ),
    tampering(
        "a saga of no order",
        "order",
        f"INSERT INTO sagas (order_id, due_time, logical_shard) VALUES ({NOBODY}, now(), 0)",
        "I3",
        "a saga has no order",
    ),
)
RESERVATIONS = (
    tampering(
        "a sale without its reservation",
        "inventory",
        f"UPDATE reservations SET state = 'RELEASED' WHERE reservation_id = {SOLD_RESERVATION}",
        "I1 I5",
        "it was sold and not confirmed",
    ),
    tampering(
        "a refusal that holds stock",
        "inventory",
        "UPDATE reservations SET state = 'CONFIRMED' WHERE shortages IS NOT NULL",
        "I1 I5",
        "it was confirmed and not sold",
    ),
    tampering(
        "a refusal without a trace",
        "inventory",
        "DELETE FROM reservations WHERE shortages IS NOT NULL",
        "I5",
        "its reservation none",
    ),
    tampering(
        "a reservation of no order",
        "inventory",
        f"INSERT INTO reservations (reservation_id, state) VALUES ({NOBODY}, 'VOIDED')",
        "I5",
        "is of no order",
    ),
    tampering(
        "other quantities",
        "inventory",
        """UPDATE reservation_lines SET quantity = quantity + 1 WHERE reservation_id = (
            SELECT reservation_id FROM reservations WHERE shortages IS NOT NULL) AND line_number = 1""",
        "I5",
        "has other lines",
    ),
    tampering(
        "another price",
        "inventory",
        f"UPDATE reservation_lines SET unit_price_minor = 1 WHERE reservation_id = {SOLD_RESERVATION}",
        "I5",
        "has other prices",
    ),
    Tampering(
        "a return that nobody asked for",
        "inventory",
        (
            f"""INSERT INTO stock_ledger (sku, kind, quantity, cause) SELECT sku, 'RETURNED', quantity, reservation_id
            FROM reservation_lines WHERE reservation_id = {SOLD_RESERVATION}""",
            f"""UPDATE items SET on_hand = on_hand + quantity FROM reservation_lines line
            WHERE line.sku = items.sku AND reservation_id = {SOLD_RESERVATION}""",
            f"UPDATE reservations SET state = 'RETURNED' WHERE reservation_id = {SOLD_RESERVATION}",
        ),
        "I5",
        "is CONFIRMED, its reservation RETURNED",
    ),
)

"""SQL statements that violate each clause of each invariant, and the violations that the checker must report."""

from dataclasses import dataclass, field

SOLD = "(SELECT order_id FROM orders WHERE state = 'CONFIRMED' ORDER BY create_time LIMIT 1)"
FROM_SOLD = f"FROM orders WHERE order_id = {SOLD}"
REFUSED = "(SELECT order_id FROM orders WHERE rejection->>'reason' = 'OUT_OF_STOCK')"
SOLD_LINE = "(SELECT min(entry_id) FROM stock_ledger WHERE kind = 'SOLD' AND quantity > 1)"
RETURNED_LINE = "(SELECT min(entry_id) FROM stock_ledger WHERE kind = 'RETURNED')"
SOLD_RESERVATION = """
    (SELECT reservation_id FROM reservations WHERE state = 'CONFIRMED' ORDER BY create_time LIMIT 1)"""
NOBODY = "'00000000-0000-4000-8000-000000000000'"
LOGGED = "(SELECT min(position) FROM event_log WHERE type = 'order.completed')"
TOLD = "(SELECT event_id FROM notifications ORDER BY event_id LIMIT 1)"
PARKED = f"""
    INSERT INTO dead_letters (consumer, event_id, type, aggregate_id, aggregate_version, occur_time, traceparent, data,
        reason)
    SELECT consumer, {NOBODY}, 'order.completed', {NOBODY}, 2, now(), '', '', 'EVENT_NOT_UNDERSTOOD'
    FROM consumer_cursors"""


@dataclass(frozen=True, slots=True)
class Tampering:
    """Statements on one database, the invariants that they violate, and the sentence expected for the first one."""

    name: str
    database: str
    statements: tuple[str, ...]
    breaks: str
    says: str
    # Whether it can be told from a shop at work.
    under_load: bool = field(default=True, kw_only=True)


def tampering(name: str, database: str, statement: str, breaks: str, says: str) -> Tampering:
    """Return a tampering of one statement that is a violation under load too."""
    return Tampering(name, database, (statement,), breaks, says)


def unfinished(name: str, database: str, statement: str, breaks: str, says: str) -> Tampering:
    """Return a tampering of one statement that is a violation only in a quiescent shop."""
    return Tampering(name, database, (statement,), breaks, says, under_load=False)


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
LOG = (
    tampering(
        "a lost event",
        "event_log",
        f"DELETE FROM event_log WHERE position = {LOGGED}",
        "I6",
        "is neither in the log nor in the outbox",
    ),
    tampering(
        "an event of nobody",
        "event_log",
        f"UPDATE event_log SET event_id = {NOBODY} WHERE position = {LOGGED}",
        "I6",
        "is in the log and not in the store",
    ),
    tampering(
        "an event with another version",
        "event_log",
        f"UPDATE event_log SET aggregate_version = 9 WHERE position = {LOGGED}",
        "I6",
        "otherwise than in the store",
    ),
    tampering(
        "an event of another type",
        "event_log",
        f"UPDATE event_log SET type = 'order.cancelled' WHERE position = {LOGGED}",
        "I6",
        "otherwise than in the store",
    ),
    tampering(
        "an event that is no event",
        "event_log",
        f"UPDATE event_log SET data = 'nonsense' WHERE position = {LOGGED}",
        "I6",
        "otherwise than in the store",
    ),
    Tampering(
        "events out of order",
        "event_log",
        (
            f"""UPDATE event_log one SET position = other.position + 1000000 FROM event_log other
            WHERE one.aggregate_id = (SELECT aggregate_id FROM event_log WHERE position = {LOGGED})
                AND other.aggregate_id = one.aggregate_id AND other.aggregate_version + one.aggregate_version = 3""",
            "UPDATE event_log SET position = position - 1000000 WHERE position > 1000000",
        ),
        "I6",
        "before the version before it",
    ),
    tampering(
        "an outbox of nothing",
        "order",
        f"INSERT INTO outbox (stream_id, version, logical_shard) VALUES ({NOBODY}, 1, 0)",
        "I6",
        "the outbox speaks of no event",
    ),
    unfinished(
        "an event to be published again",
        "order",
        f"INSERT INTO outbox (stream_id, version, logical_shard) SELECT order_id, 1, logical_shard {FROM_SOLD}",
        "I6",
        "it waits to be published",
    ),
    tampering(
        "a gap in a history",
        "order",
        f"UPDATE events SET version = 9 WHERE stream_id = {SOLD} AND version = 2",
        "I6 I7",
        "its versions have a gap",
    ),
)
PROJECTIONS = (
    tampering(
        "another total",
        "order",
        f"UPDATE orders SET total_minor = 1 WHERE order_id = {SOLD}",
        "I7",
        "is not the fold of its 2 events",
    ),
    tampering(
        "a wrong count of lines",
        "order",
        f"UPDATE orders SET line_count = 9 WHERE order_id = {SOLD}",
        "I7",
        "is not the fold",
    ),
    tampering(
        "a line gone", "order", f"DELETE FROM order_lines WHERE order_id = {SOLD}", "I2 I5 I7", "no request can have"
    ),
    tampering(
        "an event that says otherwise",
        "order",
        f"UPDATE events SET data = jsonb_set(data, '{{total_minor}}', '1') WHERE stream_id = {SOLD} AND version = 2",
        "I7",
        "differs from the content",
    ),
    tampering(
        "an event that says nothing",
        "order",
        f"UPDATE events SET data = '{{}}' WHERE stream_id = {SOLD} AND version = 2",
        "I7",
        "has events that make no order",
    ),
    tampering(
        "an event told otherwise",
        "order",
        f"""UPDATE events SET meta = jsonb_set(meta, '{{state}}', '"REJECTED"')
        WHERE stream_id = {SOLD} AND version = 1""",
        "I6 I7",
        "otherwise than in the store",
    ),
    tampering(
        "an event told of nothing",
        "order",
        f"UPDATE events SET meta = '{{}}' WHERE stream_id = {SOLD} AND version = 2",
        "I6 I7 I8",
        "otherwise than in the store",
    ),
    tampering(
        "an order gone", "order", f"DELETE FROM orders WHERE order_id = {SOLD}", "I2 I5 I7", "which is not there"
    ),
    tampering(
        "a history gone",
        "order",
        f"DELETE FROM events WHERE stream_id = {SOLD}",
        "I6 I7 I8",
        "is in the log and not in the store",
    ),
    tampering(
        "a list that says otherwise",
        "order_read",
        "UPDATE order_summaries SET total_minor = 1 WHERE state = 'CONFIRMED'",
        "I7",
        "otherwise than its event 2",
    ),
    tampering(
        "a list of another customer",
        "order_read",
        f"UPDATE order_summaries SET customer_id = {NOBODY} WHERE state = 'REJECTED'",
        "I7",
        "otherwise than its event",
    ),
    tampering(
        "a list ahead of its events",
        "order_read",
        "UPDATE order_summaries SET version = 9 WHERE state = 'CONFIRMED'",
        "I7",
        "at version 9, which is no event",
    ),
    tampering(
        "a list of more than there is",
        "order_read",
        f"""INSERT INTO order_summaries (order_id, customer_id, version, state, line_count, create_time, update_time)
        VALUES ({NOBODY}, {NOBODY}, 1, 'PENDING', 1, now(), now())""",
        "I7",
        "which is no event",
    ),
    unfinished(
        "a list of less than there is",
        "order_read",
        "DELETE FROM order_summaries WHERE state = 'REJECTED'",
        "I7",
        "the list does not have order",
    ),
    tampering(
        "a consumer ahead of the log",
        "order_read",
        "UPDATE consumer_cursors SET position = position + 1",
        "I7",
        "in a log that ends at",
    ),
    unfinished(
        "a consumer behind the log",
        "notification",
        "UPDATE consumer_cursors SET position = position - 1",
        "I7",
        "consumer notification stands at",
    ),
    unfinished(
        "a consumer that has read nothing", "order_read", "DELETE FROM consumer_cursors", "I7", "stands at 0 in a log"
    ),
    unfinished(
        "another log", "event_log", "UPDATE event_log_head SET incarnation = 'another'", "I7", "which is not the one"
    ),
)
EFFECTS = (
    tampering(
        "a customer not notified",
        "notification",
        f"DELETE FROM notifications WHERE event_id = {TOLD}",
        "I8",
        "not notified",
    ),
    tampering(
        "a customer told of nothing",
        "notification",
        f"""INSERT INTO notifications (event_id, order_id, customer_id, line_count, occur_time, traceparent)
        VALUES ({NOBODY}, {NOBODY}, {NOBODY}, 1, now(), '')""",
        "I8",
        "is of no completed order",
    ),
    tampering(
        "a customer told of another total",
        "notification",
        f"UPDATE notifications SET total_minor = 1 WHERE event_id = {TOLD}",
        "I8",
        "says something else than its event",
    ),
    unfinished(
        "a confirmation not sent",
        "notification",
        f"UPDATE notifications SET state = 'PENDING', send_time = NULL WHERE event_id = {TOLD}",
        "I8",
        "was not sent",
    ),
    unfinished(
        "an event that notification could not consume",
        "notification",
        PARKED,
        "I8",
        "it is a dead letter",
    ),
    unfinished(
        "an event that the list could not consume",
        "order_read",
        PARKED,
        "I8",
        "consumer order_summaries",
    ),
)
TAMPERINGS = (*STOCK, *ORDERS, *RESERVATIONS, *LOG, *PROJECTIONS, *EFFECTS)

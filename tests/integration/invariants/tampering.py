"""A tampering: SQL statements that violate a clause of an invariant, and what the checker must report."""

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

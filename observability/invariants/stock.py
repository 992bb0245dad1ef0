"""Checks I1 and I4: the stock adds up, and each reservation took each of its steps once and in time."""

from collections.abc import Sequence

from observability.invariants.snapshot_reader import Reader
from observability.invariants.target import Tally

I1 = "the ledger adds up: restocked + returned - sold = on_hand, reserved = what is PENDING, nothing is oversold"
I4 = "a reservation leaves PENDING in time, and takes each step once"
# The sweep runs once a second; this leaves room for a slow one.
SWEEP_GRACE = "interval '30 seconds'"


def lines_in(*states: str) -> str:
    """Return the query for the lines of reservations in these states, in the form of ledger entries."""
    listed = ", ".join(f"'{state}'" for state in states)
    return f"""
        SELECT reservation_id::text AS reservation, sku, quantity::bigint
        FROM reservation_lines JOIN reservations USING (reservation_id) WHERE state IN ({listed})"""


def entries_of(kind: str) -> str:
    """Return the query for the ledger's entries of a kind, in the form of reservations' lines."""
    return f"SELECT cause AS reservation, sku, quantity FROM stock_ledger WHERE kind = '{kind}'"


ADDS_UP = {
    "on_hand is not what the ledger adds up to": """
        SELECT sku, on_hand, coalesce(total, 0) AS ledger FROM items FULL JOIN (
            SELECT sku, sum(CASE kind WHEN 'SOLD' THEN -quantity ELSE quantity END) AS total
            FROM stock_ledger GROUP BY sku) ledger USING (sku)
        WHERE on_hand IS DISTINCT FROM coalesce(total, 0)""",
    "reserved is not what PENDING reservations hold": """
        SELECT sku, reserved, coalesce(held, 0) AS held FROM items FULL JOIN (
            SELECT sku, sum(quantity) AS held FROM reservation_lines JOIN reservations USING (reservation_id)
            WHERE state = 'PENDING' GROUP BY sku) pending USING (sku)
        WHERE reserved IS DISTINCT FROM coalesce(held, 0)""",
    "it is oversold": """
        SELECT sku, on_hand, reserved, available FROM items
        WHERE available < 0 OR reserved < 0 OR on_hand <> available + reserved""",
    "it was confirmed and not sold": f"{lines_in('CONFIRMED', 'RETURNED')} EXCEPT ALL {entries_of('SOLD')}",
    "it was sold and not confirmed": f"{entries_of('SOLD')} EXCEPT ALL {lines_in('CONFIRMED', 'RETURNED')}",
    "it was returned and is not back": f"{lines_in('RETURNED')} EXCEPT ALL {entries_of('RETURNED')}",
    "it is back and was not returned": f"{entries_of('RETURNED')} EXCEPT ALL {lines_in('RETURNED')}",
}
ONCE = {
    "it took a step twice": """
        SELECT cause AS reservation, kind, sku, count(*) AS times FROM stock_ledger WHERE kind IN ('SOLD', 'RETURNED')
        GROUP BY cause, kind, sku HAVING count(*) > 1""",
    "it holds stock for ever": """
        SELECT reservation_id AS reservation FROM reservations WHERE state = 'PENDING' AND expire_time IS NULL""",
}
IN_TIME = {
    "it is PENDING past its time": f"""
        SELECT reservation_id AS reservation, expire_time FROM reservations
        WHERE state = 'PENDING' AND expire_time < now() - {SWEEP_GRACE}"""
}
AT_REST = {
    "it is PENDING though nothing is in flight": """
        SELECT reservation_id AS reservation, expire_time FROM reservations WHERE state = 'PENDING'"""
}


async def check_stock(inventory: Reader, *, quiet: bool) -> Sequence[Tally]:
    """Check I1 and I4, which need inventory's database only."""
    i1, i4 = Tally("I1", I1), Tally("I4", I4)
    i1.counted = await inventory.count("SELECT count(*) FROM items")
    i4.counted = await inventory.count("SELECT count(*) FROM reservations")
    await inventory.count_violations(i1, ADDS_UP)
    await inventory.count_violations(i4, ONCE | (AT_REST if quiet else IN_TIME))
    return i1, i4

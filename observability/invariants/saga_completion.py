"""Check I3: every order reaches a final state in time, and has a saga until then."""

from observability.invariants.snapshot_reader import Reader
from observability.invariants.target import Tally

I3 = "every order is at its end, or on its way to it for not too long"
# ShopSagaStuck fires for an order in progress for longer.
LONGEST_SECONDS = 120
AT_REST = "CASE WHEN cancellation_requested THEN state = 'CANCELLED' ELSE state <> 'PENDING' END"

DRIVEN = {
    "it is not at rest and nobody drives it": f"""
        SELECT orders.order_id AS "order", state FROM orders LEFT JOIN sagas USING (order_id)
        WHERE NOT {AT_REST} AND sagas.order_id IS NULL""",
    "it is at rest and still driven": f"""
        SELECT order_id AS "order", state FROM sagas JOIN orders USING (order_id) WHERE {AT_REST}""",
    "a saga drives no order": """
        SELECT sagas.order_id AS "order" FROM sagas LEFT JOIN orders USING (order_id) WHERE orders.order_id IS NULL""",
}
IN_TIME = {
    f"it is on its way for more than {LONGEST_SECONDS} s": f"""
        SELECT order_id AS "order", state, update_time FROM orders
        WHERE NOT {AT_REST} AND update_time < now() - interval '{LONGEST_SECONDS} seconds'"""
}
ENDED = {
    "it is not at rest though nothing is in flight": f"""
        SELECT order_id AS "order", state, update_time FROM orders WHERE NOT {AT_REST}"""
}


async def check_completion(orders: Reader, *, quiet: bool) -> Tally:
    """Check the orders and their sagas."""
    i3 = Tally("I3", I3)
    i3.counted = await orders.count("SELECT count(*) FROM orders")
    await orders.count_violations(i3, DRIVEN | (ENDED if quiet else IN_TIME))
    return i3

"""Check I3: every order reaches a final state in time, and has a saga until then."""

from observability.invariants.snapshot_reader import Reader
from observability.invariants.target import Tally

I3 = "every order is finished, or has been in progress for at most two minutes"
# ShopSagaStuck fires for an order in progress for longer.
LONGEST_SECONDS = 120
FINISHED = "CASE WHEN cancellation_requested THEN state = 'CANCELLED' ELSE state <> 'PENDING' END"

HAS_SAGA = {
    "it is not finished and has no saga": f"""
        SELECT orders.order_id AS "order", state FROM orders LEFT JOIN sagas USING (order_id)
        WHERE NOT {FINISHED} AND sagas.order_id IS NULL""",
    "it is finished and still has a saga": f"""
        SELECT order_id AS "order", state FROM sagas JOIN orders USING (order_id) WHERE {FINISHED}""",
    "a saga has no order": """
        SELECT sagas.order_id AS "order" FROM sagas LEFT JOIN orders USING (order_id) WHERE orders.order_id IS NULL""",
}
IN_TIME = {
    f"it has been in progress for more than {LONGEST_SECONDS} s": f"""
        SELECT order_id AS "order", state, update_time FROM orders
        WHERE NOT {FINISHED} AND update_time < now() - interval '{LONGEST_SECONDS} seconds'"""
}
ENDED = {
    "it is not finished though nothing is in flight": f"""
        SELECT order_id AS "order", state, update_time FROM orders WHERE NOT {FINISHED}"""
}


async def check_completion(orders: Reader, *, quiet: bool) -> Tally:
    """Check the orders and their sagas."""
    i3 = Tally("I3", I3)
    i3.counted = await orders.count("SELECT count(*) FROM orders")
    await orders.count_violations(i3, HAS_SAGA | (ENDED if quiet else IN_TIME))
    return i3

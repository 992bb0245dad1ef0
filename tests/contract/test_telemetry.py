"""Tests that a call leaves the same telemetry in process and over gRPC: one use-case span and one duration sample."""

import pytest

from services.order.api import OutOfStock
from tests.contract.shop import Mode, Shop, place, stock
from tests.full import in_full

SAMPLES = "shop_use_case_duration_seconds"
PLACING = {
    "order.place_order": ("order", "place_order"),
    "inventory.reserve_stock": ("inventory", "reserve_stock"),
    "inventory.confirm_reservation": ("inventory", "confirm_reservation"),
}


@pytest.fixture(params=["in_process", "grpc", *in_full("sharded")])
def mode(request: pytest.FixtureRequest) -> Mode:
    """Return the mode of calling."""
    found: Mode = request.param
    return found


async def test_placing_an_order_runs_each_use_case_once(shop: Shop) -> None:
    """One span and one sample for each of the three."""
    await stock(shop, A=5)
    await shop.orders.place_order(place(A=2))
    for span, (context, use_case) in PLACING.items():
        assert len(shop.finished(span)) == 1
        assert shop.samples(SAMPLES, context=context, use_case=use_case, outcome="ok") == 1


async def test_placing_an_order_is_one_trace_without_orphans(shop: Shop) -> None:
    """Every span but the root has its parent in the trace."""
    await stock(shop, A=5)
    shop.spans.clear()
    await shop.orders.place_order(place(A=2))
    spans = shop.spans.get_finished_spans()
    ids = {span.context.span_id for span in spans if span.context}
    assert len({span.context.trace_id for span in spans if span.context}) == 1
    assert len([span for span in spans if span.parent is None]) == 1
    assert all(span.parent.span_id in ids for span in spans if span.parent)


async def test_the_spans_of_a_placement_are_these(shop: Shop) -> None:
    """One span a logical statement; BEGIN and COMMIT stand apart; each RPC is a pair."""
    await stock(shop, A=5)
    await shop.orders.place_order(place(A=1))  # the first of a day reads the keys of consistency tokens
    shop.spans.clear()
    await shop.orders.place_order(place(A=2))
    statements = [
        span.name for span in shop.spans.get_finished_spans() if "db.query.summary" in (span.attributes or {})
    ]
    assert statements == [
        *("BEGIN", "INSERT idempotency_keys", "INSERT events", "INSERT orders", "COMMIT"),
        *("BEGIN", "INSERT idempotency_keys", "SELECT items FOR UPDATE", "INSERT reservations"),
        *("INSERT reservation_lines", "UPDATE items", "COMMIT"),
        *("BEGIN", "INSERT idempotency_keys", "SELECT reservations FOR UPDATE", "UPDATE reservations"),
        *("SELECT items FOR UPDATE", "UPDATE items", "INSERT stock_ledger", "COMMIT"),
        *("BEGIN", "INSERT events", "UPDATE orders", "COMMIT"),
    ]
    calls = [span.name for span in shop.spans.get_finished_spans() if "rpc.method" in (span.attributes or {})]
    inventory = [
        "shop.inventory.v1.InventoryService/ReserveStock",
        "shop.inventory.v1.InventoryService/ConfirmReservation",
    ]
    orders = ["shop.order.v1.OrderService/PlaceOrder"]
    expected = {
        "in_process": [],
        "sharded": [],
        "grpc": [name for name in inventory + orders for _ in ("server", "client")],
    }
    assert calls == expected[shop.mode]


async def test_a_refusal_is_an_outcome_not_an_error(shop: Shop) -> None:
    """Both contexts say OUT_OF_STOCK; no use-case span is an error."""
    await stock(shop, A=1)
    with pytest.raises(OutOfStock):
        await shop.orders.place_order(place(A=2))
    for name, (context, use_case) in list(PLACING.items())[:2]:
        (span,) = shop.finished(name)
        assert (span.attributes or {})["shop.outcome"] == "OUT_OF_STOCK"
        assert span.status.is_unset
        assert shop.samples(SAMPLES, context=context, use_case=use_case, outcome="OUT_OF_STOCK") == 1


async def test_the_use_case_names_its_order(shop: Shop) -> None:
    """Jaeger's search finds an order by its id."""
    await stock(shop, A=5)
    order = await shop.orders.place_order(place(A=2))
    (span,) = shop.finished("order.place_order")
    assert (span.attributes or {})["shop.order.id"] == str(order.order_id)


async def test_begin_carries_the_wait_for_its_connection(shop: Shop) -> None:
    """Waiting for the pool must not look like the database's time."""
    await stock(shop, A=5)
    await shop.orders.place_order(place(shop.customer(), A=2))
    assert all("db.client.connection.wait_time" in (span.attributes or {}) for span in shop.finished("BEGIN"))
    assert (
        shop.samples("db_client_connection_wait_time_seconds", context="order", db_client_connection_pool_name="order")
        > 0
    )

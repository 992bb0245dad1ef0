"""The saga worker with a real database: what it does while inventory is unavailable."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from services.infra.circuit_breaker import CircuitBreaker
from services.kernel.errors import CircuitOpen
from services.order.adapters.sagas import PostgresSagas
from services.order.api import GetOrder, OrderState
from tests.contract.shop import Shop, open_shop, place, stock
from tests.postgres import PostgresServer


@pytest.fixture
async def shop(postgres_server: PostgresServer, clean_databases: None) -> AsyncIterator[Shop]:
    """Open a shop that calls inventory over gRPC, with a circuit breaker."""
    async with open_shop("grpc", postgres_server.dsns) as opened:
        yield opened


def stay_open(_breaker: CircuitBreaker, _now: float) -> None:
    """Reject every call."""
    raise CircuitOpen(1.0)


async def test_no_order_is_attempted_while_the_circuit_breaker_is_open(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No attempt is counted, so that the back-off is short once it has closed."""
    await stock(shop, A=1)
    command = replace(place(A=1), respond_async=True)
    with monkeypatch.context() as patch:
        patch.setattr(CircuitBreaker, "admit", stay_open)
        patch.setattr(CircuitBreaker, "check", stay_open)
        # Not over gRPC, whose client has a circuit breaker, too.
        pending = await shop.parts.application.place_order(command)
        async with shop.order_database.transaction("test") as transaction:
            await transaction.execute("UPDATE", "UPDATE sagas SET due_time = now()")
        for _ in range(3):
            assert await shop.parts.servers[0].saga_worker.step() > 0
        rows = await shop.order_database.fetch("SELECT", "SELECT attempts FROM sagas")
        assert [row["attempts"] for row in rows] == [0]
    await shop.parts.servers[0].saga_worker.step()
    settled = await shop.orders.get_order(GetOrder(command.customer_id, pending.order_id))
    assert settled.state is OrderState.CONFIRMED


async def test_a_claim_keeps_its_limit_with_any_plan(
    postgres_server: PostgresServer, clean_databases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planner may join row by row, where it takes the tables for empty."""
    monkeypatch.setattr(CircuitBreaker, "admit", stay_open)
    dsns = postgres_server.dsns
    row_by_row = "&".join(f"enable_{way}=off" for way in ("hashagg", "hashjoin", "mergejoin", "sort", "material"))
    async with open_shop("grpc", {**dsns, "order": f"{dsns['order']}&{row_by_row}"}) as shop:
        for _ in range(10):
            await shop.parts.application.place_order(replace(place(A=1), respond_async=True))
        async with shop.order_database.transaction("test") as transaction:
            await transaction.execute("UPDATE", "UPDATE sagas SET due_time = now()")
        sagas = PostgresSagas(database=shop.order_database, lease_seconds=60)
        assert [len(await sagas.claim(limit)) for limit in (2, 3, 10)] == [2, 3, 5]

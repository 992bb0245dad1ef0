"""Calls to servers that are down: the circuit breaker, and several servers of which one is enough."""

from collections.abc import Awaitable
from contextlib import AsyncExitStack

import pytest

from services.infra.circuit_breaker import Policy
from services.inventory.rpc.server import SERVICE
from services.kernel.errors import CircuitOpen, ServiceError, Unavailable
from tests.integration.infra.calling import QUERY, Attempts, calling, serving
from tests.patience import PATIENCE_SECONDS
from tests.unit.telemetry.counted import counted, counting


async def ending_of(call: Awaitable[object]) -> type[ServiceError] | None:
    """Say with which error a call ended, if it did."""
    try:
        await call
    except ServiceError as error:
        return type(error)
    return None


async def test_a_server_that_is_down_is_left_alone_after_a_while() -> None:
    telemetry = counting("order")
    attempts = Attempts(failures=10_000)
    async with serving(attempts.answer) as target, calling(target, telemetry) as client:
        client._rpc._guard._breaker.policy = Policy(
            open_seconds=PATIENCE_SECONDS, longest_open_seconds=PATIENCE_SECONDS
        )
        endings = [await ending_of(client.get_stock(QUERY)) for _ in range(100)]
        opened = endings.index(CircuitOpen)
        assert set(endings[:opened]) == {Unavailable}
        made = len(attempts.seen)
        assert [await ending_of(client.get_stock(QUERY)) for _ in range(10)] == [CircuitOpen] * 10
        with pytest.raises(CircuitOpen):
            client.check()
    assert len(attempts.seen) == made
    assert counted(telemetry, "shop_circuit_breaker_state", context="order", dependency=SERVICE.full_name, state="open")


async def test_two_servers_take_turns_and_one_of_them_is_enough() -> None:
    first, second = Attempts(failures=0), Attempts(failures=0)
    async with serving(first.answer) as one, serving(second.answer) as other, calling(f"{one},{other}") as client:
        for _ in range(10):
            await client.get_stock(QUERY)
        assert first.seen
        assert second.seen


async def test_no_call_fails_when_one_of_two_servers_ends() -> None:
    first, second = Attempts(failures=0), Attempts(failures=0)
    async with AsyncExitStack() as second_runs, serving(first.answer) as one:
        other = await second_runs.enter_async_context(serving(second.answer))
        async with calling(f"{one},{other}") as client:
            for _ in range(10):
                await client.get_stock(QUERY)
            assert second.seen
            await second_runs.aclose()
            before = len(first.seen)
            for _ in range(10):
                await client.get_stock(QUERY)
            assert len(first.seen) == before + 10

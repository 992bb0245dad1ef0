"""Repeats of lost calls: which are made, which are counted, and when there are none."""

import asyncio
from collections.abc import Callable

import grpc
import pytest

from observability.telemetry.admission import AdmissionTelemetry
from observability.telemetry.telemetry import unobserved
from services.infra.address import Address
from services.infra.admission import AdmissionController, DeadlineTooShort, Priority
from services.infra.rpc.client import RpcClient, open_channel
from services.inventory import api
from services.inventory.rpc import translate
from services.inventory.rpc.client import InventoryClient
from services.kernel.errors import DeadlineExceeded, Overloaded, ServiceError, Unavailable
from tests.fakes.inventory import FakeInventory
from tests.integration.infra.calling import LATE_SECONDS, LOST, METHOD, QUERY, Attempts, calling, real_server, serving
from tests.ipv6 import needs_ipv6
from tests.patience import PATIENCE_SECONDS
from tests.unit.telemetry.counted import counted, counting


async def test_a_lost_call_is_retried_and_marked_as_a_retry() -> None:
    attempts = Attempts(failures=2)
    async with serving(attempts.answer) as target, calling(target) as client:
        await client.get_stock(QUERY)
    assert attempts.seen == ["", "1", "2"]


async def test_no_call_is_made_more_than_three_times() -> None:
    attempts = Attempts(failures=100)
    async with serving(attempts.answer) as target, calling(target) as client:
        with pytest.raises(Unavailable):
            await client.get_stock(QUERY)
    assert len(attempts.seen) == 3


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.ABORTED]
)
async def test_a_call_that_reached_the_server_is_not_retried(code: grpc.StatusCode) -> None:
    attempts = Attempts(failures=100, code=code)
    async with serving(attempts.answer) as target, calling(target) as client:
        with pytest.raises(ServiceError):
            await client.get_stock(QUERY)
    assert len(attempts.seen) == 1


async def test_a_budget_ends_the_retries_to_a_server_that_is_down() -> None:
    """The naive loop makes three attempts at each call for as long as it lasts."""
    attempts = Attempts(failures=10_000)
    calls = 15
    async with serving(attempts.answer) as target, calling(target) as client:
        for _ in range(calls):
            with pytest.raises(Unavailable):
                await client.get_stock(QUERY)
    # Six failures take the tokens below half; from then on each call is one attempt.
    assert len(attempts.seen) <= calls + 6


async def test_without_a_budget_each_call_is_made_three_times() -> None:
    attempts = Attempts(failures=10_000)
    async with serving(attempts.answer) as target, open_channel(target, budget=False) as channel:
        client = InventoryClient(channel, target=target, telemetry=unobserved("test"), guarded=False)
        for _ in range(5):
            with pytest.raises(Unavailable):
                await client.get_stock(QUERY)
    assert len(attempts.seen) == 15


class WithoutDatabase(FakeInventory):
    """An inventory that is there, while what it needs is not."""

    asked = 0

    async def get_stock(self, query: api.GetStock) -> tuple[api.StockLevel, ...]:
        """Find that there is no database."""
        self.asked += 1
        raise Unavailable(1.0)


async def test_a_server_whose_dependency_is_down_forbids_retries() -> None:
    inventory = WithoutDatabase()
    async with real_server(inventory, unobserved("test")) as target, calling(target) as client:
        with pytest.raises(Unavailable):
            await client.get_stock(QUERY)
    assert inventory.asked == 1


async def test_no_first_attempt_is_counted_as_a_repeat() -> None:
    telemetry = counting("inventory")
    async with real_server(FakeInventory(), telemetry) as target, calling(target) as client:
        await client.get_stock(QUERY)
    assert not counted(telemetry, "shop_rpc_server_repeated_attempts_total", context="inventory", rpc_method=METHOD)


async def test_a_repeat_is_counted_where_it_arrives() -> None:
    """The first attempt ends in a server of the test, which is none of ours; the second is answered by ours."""
    telemetry = counting("inventory")
    attempts = Attempts(failures=10_000)
    async with (
        serving(attempts.answer) as lost,
        real_server(FakeInventory(), telemetry) as target,
        calling(f"{lost},{target}") as client,
    ):
        # The two take turns: a call that begins at the first ends at the second.
        for _ in range(4):
            await client.get_stock(QUERY)
    repeats = counted(telemetry, "shop_rpc_server_repeated_attempts_total", context="inventory", rpc_method=METHOD)
    # One that came to the first again, before there was a connection to ours, is the same call.
    assert repeats == attempts.seen.count("") > 0


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_calls_take_turns_between_several_targets(host: str) -> None:
    one, other = Attempts(failures=0), Attempts(failures=0)
    async with (
        serving(one.answer, host) as first,
        serving(other.answer, host) as second,
        calling(f"{first},{second}") as client,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        # The second may take longer to connect to.
        while not (one.seen and other.seen):
            await client.get_stock(QUERY)


def full_admission() -> AdmissionController:
    """Return the admission controller of a server without capacity."""
    telemetry = AdmissionTelemetry(counting("inventory"))
    return AdmissionController(connections=1, late_seconds=lambda: LATE_SECONDS, telemetry=telemetry)


def slow_admission() -> AdmissionController:
    """Return the admission controller of a server that is slower than any deadline."""
    now = 0.0
    telemetry = AdmissionTelemetry(counting("inventory"))
    slow = AdmissionController(connections=1, late_seconds=lambda: 0.0, telemetry=telemetry, clock=lambda: now)
    with slow.admit(METHOD, Priority.READ, stage="grpc", remaining_seconds=LATE_SECONDS):
        now = LATE_SECONDS
    return slow


@pytest.mark.parametrize(
    ("make_admission", "first", "repeated"),
    [(full_admission, Overloaded(1.0), Unavailable(1.0)), (slow_admission, DeadlineTooShort(), DeadlineExceeded())],
)
async def test_a_rejected_repeat_may_have_been_processed_before(
    make_admission: Callable[[], AdmissionController], first: ServiceError, repeated: ServiceError
) -> None:
    """The attempt before it may have been, and the caller knows of one call alone."""
    attempts = Attempts(failures=10_000)
    async with (
        serving(attempts.answer) as lost,
        real_server(FakeInventory(), unobserved("test"), admission=make_admission()) as target,
        # A guard would reject some calls itself after so many rejections.
        calling(f"{lost},{target}", guarded=False) as client,
    ):
        endings = []
        for _ in range(8):
            firsts = attempts.seen.count("")
            with pytest.raises(ServiceError) as caught:
                await client.get_stock(QUERY)
            assert isinstance(caught.value.__cause__, grpc.aio.AioRpcError)
            endings.append((attempts.seen.count("") > firsts, caught.value.__cause__.details()))
    # One that begins at the lost server ends at ours, or was repeated there; one that begins at ours ends there.
    assert set(endings) - {(True, LOST)} == {(True, str(repeated)), (False, str(first))}


def test_client_spans_name_the_first_of_several_targets() -> None:
    client = RpcClient(
        target="one:1,two:2", service="some.Service", telemetry=unobserved("test"), errors=translate.ERRORS
    )
    assert client._address == Address("one", 1)

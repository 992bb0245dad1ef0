"""Guard of a client: calls that it rejects, and how outcomes of calls count."""

import asyncio

import grpc
import pytest

from observability.telemetry.dependency import DependencyTelemetry
from observability.telemetry.telemetry import Telemetry
from services.infra.circuit_breaker import Policy
from services.infra.rpc.guard import FAILURES, OVERLOADS, CallGuard
from services.kernel.errors import CircuitOpen, Overloaded
from tests.unit.telemetry.counted import counted, counting

POLICY = Policy()
TIMEOUT_SECONDS = 1.0
EMPTY = grpc.aio.Metadata()


class Client:
    """A guard with a clock that the test sets, the longest possible jitter, and calls that end as the test demands."""

    def __init__(self) -> None:
        self.now = 100.0
        self.draw = 1.0
        self.telemetry: Telemetry = counting("order")
        self.guard = CallGuard(
            telemetry=DependencyTelemetry(self.telemetry, "inventory"),
            clock=lambda: self.now,
            draw=lambda: self.draw,
        )

    def call(
        self,
        error: BaseException | None = None,
        *,
        times: int = 1,
        timeout_seconds: float = TIMEOUT_SECONDS,
        seconds: float = 0.01,
    ) -> None:
        """Make calls that all end alike."""
        for _ in range(times):
            try:
                with self.guard.call(timeout_seconds=timeout_seconds):
                    self.now += seconds
                    if error:
                        raise error
            except (grpc.aio.AioRpcError, asyncio.CancelledError):
                pass

    def state(self) -> str:
        """Return the state in the metrics."""
        name, labels = "shop_circuit_breaker_state", {"context": "order", "dependency": "inventory"}
        states = ("closed", "open", "half_open")
        (state,) = [each for each in states if counted(self.telemetry, name, **labels, state=each)]
        return state

    def rejections(self, reason: str) -> float:
        """How many calls the metrics say were not made."""
        labels = {"context": "order", "dependency": "inventory", "reason": reason}
        return counted(self.telemetry, "shop_rpc_client_rejections_total", **labels)


def failed(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    """Return an error of gRPC."""
    return grpc.aio.AioRpcError(code, EMPTY, EMPTY)


@pytest.mark.parametrize("code", sorted(FAILURES, key=str))
def test_a_server_that_fails_opens_the_circuit(code: grpc.StatusCode) -> None:
    client = Client()
    client.call(failed(code), times=POLICY.fewest_calls)
    assert client.state() == "open"
    with pytest.raises(CircuitOpen):
        client.call()
    assert client.rejections("circuit_open") == 1


@pytest.mark.parametrize("code", sorted(set(grpc.StatusCode) - FAILURES - {grpc.StatusCode.OK}, key=str))
def test_business_errors_do_not_open_the_circuit(code: grpc.StatusCode) -> None:
    """Business errors, and that it has no room."""
    client = Client()
    client.call(failed(code), times=10 * POLICY.fewest_calls)
    assert client.state() == "closed"


def test_calls_that_their_caller_gave_up_open_nothing() -> None:
    client = Client()
    client.call(asyncio.CancelledError(), times=10 * POLICY.fewest_calls)
    assert client.state() == "closed"


@pytest.mark.parametrize(("timeout_seconds", "state"), [(POLICY.slow_seconds - 0.1, "closed"), (1.0, "open")])
def test_a_timeout_by_a_near_deadline_is_no_failure(timeout_seconds: float, state: str) -> None:
    client = Client()
    late = failed(grpc.StatusCode.DEADLINE_EXCEEDED)
    client.call(late, times=POLICY.fewest_calls, timeout_seconds=timeout_seconds)
    assert client.state() == state


def test_a_near_deadline_is_no_evidence_of_capacity() -> None:
    client = Client()
    client.call(failed(grpc.StatusCode.DEADLINE_EXCEEDED), times=200, timeout_seconds=POLICY.slow_seconds - 0.1)
    client.call(failed(grpc.StatusCode.RESOURCE_EXHAUSTED), times=100)
    client.draw = 0.0
    with pytest.raises(Overloaded):
        client.call()


@pytest.mark.parametrize("code", sorted(OVERLOADS, key=str))
def test_calls_to_an_overloaded_server_are_twice_its_accepts(code: grpc.StatusCode) -> None:
    client = Client()
    client.call(failed(code), times=100)
    client.draw = 0.0
    with pytest.raises(Overloaded):
        client.call()
    assert client.rejections("throttled") == 1
    assert client.state() == "closed"


def test_an_unavailable_server_does_not_count_as_overloaded() -> None:
    """Or the throttle would keep callers away once it is back."""
    client = Client()
    client.call(failed(grpc.StatusCode.UNAVAILABLE), times=POLICY.fewest_calls)
    client.now += POLICY.open_seconds
    client.draw = 0.0
    client.call(times=POLICY.probes)
    assert client.state() == "closed"
    assert client.rejections("throttled") == 0


def test_a_call_that_the_throttle_refuses_takes_no_probe() -> None:
    client = Client()
    client.call(failed(grpc.StatusCode.RESOURCE_EXHAUSTED), times=100)
    client.call(failed(grpc.StatusCode.UNAVAILABLE), times=POLICY.failures_in_a_row)
    assert client.state() == "open"
    client.now += POLICY.open_seconds
    client.draw = 0.0
    for _ in range(2 * POLICY.probes):
        with pytest.raises(Overloaded):
            client.call()
    client.draw = 1.0
    client.call(times=POLICY.probes)
    assert client.state() == "closed"


def test_to_check_is_to_change_nothing() -> None:
    client = Client()
    client.guard.check()
    client.call(failed(grpc.StatusCode.UNAVAILABLE), times=POLICY.fewest_calls)
    with pytest.raises(CircuitOpen):
        client.guard.check()
    client.now += POLICY.open_seconds
    client.guard.check()  # a probe may be made now
    assert client.state() == "open"
    assert client.rejections("circuit_open") == 0


def test_each_transition_is_counted() -> None:
    client = Client()
    client.call(failed(grpc.StatusCode.UNAVAILABLE), times=POLICY.fewest_calls)
    client.now += POLICY.open_seconds
    client.call(times=POLICY.probes)
    name, labels = "shop_circuit_breaker_transitions_total", {"context": "order", "dependency": "inventory"}
    found = {state: counted(client.telemetry, name, **labels, state=state) for state in ("open", "half_open", "closed")}
    assert found == {"open": 1, "half_open": 1, "closed": 1}

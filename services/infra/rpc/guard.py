"""Guard of a client's calls: a circuit breaker for an unavailable server and a throttle for an overloaded one.

There is one guard per server, for all its methods, since a server fails as a whole.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import grpc

from observability.telemetry.dependency import DependencyTelemetry
from services.infra.circuit_breaker import CallOutcome, CircuitBreaker, Permit, Policy, State
from services.infra.throttle import Throttle
from services.kernel.errors import CircuitOpen, Overloaded

# Failures of the server. A rejection because of the request, or for lack of capacity, counts as an answer.
FAILURES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
    }
)
# gRPC's own limit on pending calls answers CANCELLED; a call that we cancel ends with a CancelledError instead.
OVERLOADS = frozenset({grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED})
RETRY_AFTER_SECONDS = 1.0


class CallGuard:
    """Guard of all calls to one server.

    policy: thresholds of the breaker
    enabled: False lets every call pass, to show what happens without a guard
    clock: monotonic time in seconds
    draw: returns a random number from 0 to 1
    """

    def __init__(
        self,
        *,
        telemetry: DependencyTelemetry,
        policy: Policy | None = None,
        enabled: bool = True,
        clock: Callable[[], float] = monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._telemetry = telemetry
        self._enabled = enabled
        self._clock = clock
        self._breaker = CircuitBreaker(policy or Policy(), draw=draw, on_transition=telemetry.changed)
        self._throttle = Throttle(draw=draw)
        telemetry.watch(lambda: self._breaker.state, states=State, reasons=("circuit_open", "throttled"))

    def check(self) -> None:
        """Raise CircuitOpen if a call would be rejected now because the server is unavailable."""
        self._breaker.check(self._clock())

    @contextmanager
    def call(self, *, timeout_seconds: float) -> Iterator[None]:
        """Guard one call, made in the with block with this timeout. Raises CircuitOpen, Overloaded."""
        if not self._enabled:
            yield
            return
        permit = self._admit()
        began, outcome = self._clock(), CallOutcome.GIVEN_UP
        is_overloaded = False
        try:
            yield
            outcome = CallOutcome.ANSWERED
        except grpc.aio.AioRpcError as error:
            outcome = self._outcome(error.code(), timeout_seconds)
            is_overloaded = error.code() in OVERLOADS
            raise
        finally:
            now = self._clock()
            if outcome is not CallOutcome.GIVEN_UP:
                self._throttle.answered(now, overloaded=is_overloaded)
            self._breaker.record(permit, outcome, seconds=now - began, now=now)

    def _admit(self) -> Permit:
        now = self._clock()
        try:
            permit = self._breaker.admit(now)
        except CircuitOpen:
            self._telemetry.rejected("circuit_open")
            raise
        if self._throttle.rejects(now):
            self._breaker.record(permit, CallOutcome.GIVEN_UP, seconds=0.0, now=now)
            self._telemetry.rejected("throttled")
            raise Overloaded(RETRY_AFTER_SECONDS)
        return permit

    def _outcome(self, code: grpc.StatusCode, timeout_seconds: float) -> CallOutcome:
        if code not in FAILURES:
            return CallOutcome.ANSWERED
        # A timeout that a near deadline made short is no evidence against the server.
        is_short = timeout_seconds < self._breaker.policy.slow_seconds
        return CallOutcome.GIVEN_UP if is_short and code is grpc.StatusCode.DEADLINE_EXCEEDED else CallOutcome.FAILED

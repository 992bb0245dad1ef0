"""Guard of a client's calls: a breaker for a server that is unavailable, a throttle for one that is overloaded.

One guard stands before one server, whatever the method: what is away is away for all of them.
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

# The server did not do its part. What it refuses because of the request, or has no capacity for, is an answer.
FAILURES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
    }
)
# gRPC's own limit on pending calls says CANCELLED; a call that we cancel ends with a CancelledError instead.
OVERLOADS = frozenset({grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED})
RETRY_AFTER_SECONDS = 1.0


class CallGuard:
    """Watches all calls to one server. `clock` is monotonic, in seconds; `draw` gives a number from 0 to 1.

    `enabled=False` lets every call be made, for who wants to see what comes of that.
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
        """Raise CircuitOpen when a call would be refused now because the server is away."""
        self._breaker.check(self._clock())

    @contextmanager
    def call(self, *, timeout_seconds: float) -> Iterator[None]:
        """Watch one call, made in the block and cut off after its timeout. Raises CircuitOpen, Overloaded."""
        if not self._enabled:
            yield
            return
        permit = self._admit()
        began, outcome = self._clock(), CallOutcome.GIVEN_UP
        is_refused = False
        try:
            yield
            outcome = CallOutcome.ANSWERED
        except grpc.aio.AioRpcError as error:
            outcome = self._outcome(error.code(), timeout_seconds)
            is_refused = error.code() in OVERLOADS
            raise
        finally:
            now = self._clock()
            if outcome is not CallOutcome.GIVEN_UP:
                self._throttle.answered(now, overloaded=is_refused)
            self._breaker.record(permit, outcome, seconds=now - began, now=now)

    def _admit(self) -> Permit:
        now = self._clock()
        try:
            permit = self._breaker.admit(now)
        except CircuitOpen:
            self._telemetry.rejected("circuit_open")
            raise
        if self._throttle.refuses(now):
            self._breaker.record(permit, CallOutcome.GIVEN_UP, seconds=0.0, now=now)
            self._telemetry.rejected("throttled")
            raise Overloaded(RETRY_AFTER_SECONDS)
        return permit

    def _outcome(self, code: grpc.StatusCode, timeout_seconds: float) -> CallOutcome:
        if code not in FAILURES:
            return CallOutcome.ANSWERED
        # A caller with little time left says nothing about the server when that runs out.
        is_hurried = timeout_seconds < self._breaker.policy.slow_seconds
        return CallOutcome.GIVEN_UP if is_hurried and code is grpc.StatusCode.DEADLINE_EXCEEDED else CallOutcome.FAILED

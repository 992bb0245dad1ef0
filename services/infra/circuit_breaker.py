"""Circuit breaker: stops calls to a dependency that fails, and lets a few probes through to see it recover.

Without one, each caller waits for its timeout on an unavailable dependency, holds its own connection and its own slot
meanwhile, and fails too. A naive breaker opens on a count of errors and admits all callers at once when its open time
ends: a dependency that has just recovered fails again under that load (three Python libraries let 50 of 50 calls
through). Here a counter admits a few probes; a late result from before a transition changes nothing; business errors
count as answers.

No clock, no task, no lock: the caller passes the time. All of it runs on one event loop.

    permit = breaker.admit(now)              # raises CircuitOpen
    ... make the call ...
    breaker.record(permit, Outcome.ANSWERED, seconds=0.012, now=now)
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from services.infra.sliding_counts import SlidingCounts
from services.kernel.errors import CircuitOpen


class State(StrEnum):
    """Closed admits all calls, open none, half-open a few probes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CallOutcome(StrEnum):
    """Outcome of a call: a business error is an answer; a call that its caller gave up counts neither way."""

    ANSWERED = "answered"
    FAILED = "failed"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Thresholds and times of a breaker.

    window_seconds: length of the sliding window in which calls are counted
    buckets: number of parts of the window
    fewest_calls: calls in the window below which shares do not open the breaker
    failed_share: share of failed calls that opens it, 0 to 1
    slow_share: share of slow calls that opens it, 0 to 1
    slow_seconds: duration from which on a call is slow
    failures_in_a_row: consecutive failures that open it, however few calls there are
    open_seconds: first open time; it doubles after each failed probe. The actual time is drawn from the upper half of
        it, so that callers do not return together
    longest_open_seconds: upper limit of the open time
    probes: calls that are admitted half-open; all must be answered to close the breaker
    probe_seconds: time in which the probes under way must be answered
    """

    window_seconds: float = 10.0
    buckets: int = 10
    fewest_calls: int = 20
    failed_share: float = 0.5
    slow_share: float = 0.8
    slow_seconds: float = 0.8
    failures_in_a_row: int = 20
    open_seconds: float = 5.0
    longest_open_seconds: float = 10.0
    probes: int = 5
    probe_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one call, valid for the state in which it was given."""

    generation: int


OnTransition = Callable[[State, State], None]


class CircuitBreaker:
    """Breaker of one dependency. `draw` returns a random number from 0 to 1, for jitter."""

    def __init__(self, policy: Policy, *, draw: Callable[[], float], on_transition: OnTransition) -> None:
        self.policy = policy
        self._draw = draw
        self._on_transition = on_transition
        self._state = State.CLOSED
        # Incremented by each transition, so that results of calls from before it are ignored.
        self._generation = 0
        self._window = SlidingCounts(window_seconds=policy.window_seconds, buckets=policy.buckets)
        self._failures_in_a_row = 0
        self._opened_times = 0
        self._until = 0.0
        self._admitted = 0
        self._answered = 0

    @property
    def state(self) -> State:
        """The state as of the last call that was admitted, rejected or recorded."""
        return self._state

    def check(self, now: float) -> None:
        """Raise CircuitOpen if a call would be rejected now; change nothing."""
        is_full = self._state is State.HALF_OPEN and self._admitted >= self.policy.probes
        if self._state is not State.CLOSED and now < self._until and (is_full or self._state is State.OPEN):
            raise CircuitOpen(self._until - now)

    def admit(self, now: float) -> Permit:
        """Return a permit for one call. Raises CircuitOpen."""
        if self._state is State.OPEN and now >= self._until:
            self._become(State.HALF_OPEN)
        if self._state is State.HALF_OPEN:
            if self._admitted == self._answered:
                # No probe is under way: the time limit begins with this one, so that a lack of calls is no failure.
                self._until = now + self.policy.probe_seconds
            elif now >= self._until:
                # Probes without a result in time count as failed.
                self._open(now)
        if self._state is State.OPEN:
            raise CircuitOpen(self._until - now)
        if self._state is State.HALF_OPEN:
            if self._admitted >= self.policy.probes:
                raise CircuitOpen(self._until - now)
            self._admitted += 1
        return Permit(self._generation)

    def record(self, permit: Permit, outcome: CallOutcome, *, seconds: float, now: float) -> None:
        """Record the outcome and duration of an admitted call; call it once per permit."""
        if permit.generation != self._generation:
            return
        if self._state is State.HALF_OPEN:
            self._record_probe(outcome, slow=seconds >= self.policy.slow_seconds, now=now)
        elif outcome is not CallOutcome.GIVEN_UP:
            self._count(outcome, slow=seconds >= self.policy.slow_seconds, now=now)
            if self._must_open(now):
                self._open(now)

    def _record_probe(self, outcome: CallOutcome, *, slow: bool, now: float) -> None:
        if outcome is CallOutcome.GIVEN_UP:
            self._admitted -= 1
        elif outcome is CallOutcome.FAILED or slow:
            self._open(now)
        else:
            self._answered += 1
            if self._answered == self.policy.probes:
                self._opened_times = 0
                self._become(State.CLOSED)

    def _count(self, outcome: CallOutcome, *, slow: bool, now: float) -> None:
        failed = outcome is CallOutcome.FAILED
        self._window.add(now, "calls", *["failed"] * failed, *["slow"] * slow)
        self._failures_in_a_row = self._failures_in_a_row + 1 if failed else 0

    def _must_open(self, now: float) -> bool:
        policy, counted = self.policy, self._window.total(now)
        calls = counted["calls"]
        return self._failures_in_a_row >= policy.failures_in_a_row or (
            calls >= policy.fewest_calls
            and (counted["failed"] >= policy.failed_share * calls or counted["slow"] >= policy.slow_share * calls)
        )

    def _open(self, now: float) -> None:
        policy = self.policy
        longest = min(policy.longest_open_seconds, policy.open_seconds * 2.0 ** min(self._opened_times, 20))
        self._opened_times += 1
        self._until = now + longest * (1 + self._draw()) / 2
        self._become(State.OPEN)

    def _become(self, state: State) -> None:
        before, self._state = self._state, state
        self._generation += 1
        self._admitted = self._answered = self._failures_in_a_row = 0
        self._window.clear()
        self._on_transition(before, state)

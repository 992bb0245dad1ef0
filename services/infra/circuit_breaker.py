"""Is it worth calling? A circuit breaker stops calls to what does not answer, and lets a few through to see it heal.

Without one, each caller waits out its time limit on a dependency that is away, holds its own connection and its own
place meanwhile, and fails too. The naive one opens on a count of errors and lets everybody through at once when its
time is up: what has just come back goes down again under the crowd (three Python libraries let 50 of 50 through). Here
a counter admits a few probes; a result that comes late, from before, changes nothing; business errors are answers.

No clock, no task, no lock: the caller says what time it is. All of it runs on one event loop.

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
    """Closed lets all calls through, open none, half-open a few probes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CallOutcome(StrEnum):
    """How a call ended, for the breaker: a business error is an answer; a call that its caller gave up says nothing."""

    ANSWERED = "answered"
    FAILED = "failed"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When it opens and for how long; times in seconds, shares from 0 to 1.

    It opens when, of at least `fewest_calls` in the window, `failed_share` failed or `slow_share` took `slow_seconds`,
    or when the last `failures_in_a_row` all failed. It stays open for `open_seconds`, twice as long after each probe
    that failed, up to `longest_open_seconds`, each drawn from the upper half so that callers do not come back together.
    `probes` are admitted half-open, and must all be answered within `probe_seconds`.
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
    """Leave to make one call; it is good for the state in which it was given."""

    generation: int


OnTransition = Callable[[State, State], None]


class CircuitBreaker:
    """The breaker of one dependency. `draw` gives a number from 0 to 1, for the jitter."""

    def __init__(self, policy: Policy, *, draw: Callable[[], float], on_transition: OnTransition) -> None:
        self.policy = policy
        self._draw = draw
        self._on_transition = on_transition
        self._state = State.CLOSED
        # Goes up with each transition, so that a result from before one is told from those after it.
        self._generation = 0
        self._window = SlidingCounts(window_seconds=policy.window_seconds, buckets=policy.buckets)
        self._failures_in_a_row = 0
        self._opened_times = 0
        self._until = 0.0
        self._admitted = 0
        self._answered = 0

    @property
    def state(self) -> State:
        """What it is since the last call was admitted, refused or recorded."""
        return self._state

    def check(self, now: float) -> None:
        """Give no leave and change nothing. Raises CircuitOpen when a call would be refused now."""
        is_full = self._state is State.HALF_OPEN and self._admitted >= self.policy.probes
        if self._state is not State.CLOSED and now < self._until and (is_full or self._state is State.OPEN):
            raise CircuitOpen(self._until - now)

    def admit(self, now: float) -> Permit:
        """Give leave for one call. Raises CircuitOpen."""
        if self._state is State.OPEN and now >= self._until:
            self._become(State.HALF_OPEN)
            self._until = now + self.policy.probe_seconds
        elif self._state is State.HALF_OPEN and now >= self._until:
            # The probes did not come back in time: that is an answer too.
            self._open(now)
        if self._state is State.OPEN:
            raise CircuitOpen(self._until - now)
        if self._state is State.HALF_OPEN:
            if self._admitted >= self.policy.probes:
                raise CircuitOpen(self._until - now)
            self._admitted += 1
        return Permit(self._generation)

    def record(self, permit: Permit, outcome: CallOutcome, *, seconds: float, now: float) -> None:
        """Say how an admitted call ended, and how long it took; each permit once."""
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

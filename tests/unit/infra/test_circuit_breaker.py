"""Circuit breaker: opening, probes and closing, with a clock that the test sets."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from services.infra.circuit_breaker import CallOutcome, CircuitBreaker, Permit, Policy, State
from services.kernel.errors import CircuitOpen
from tests.full import in_full

POLICY = Policy()
FAST, SLOW = 0.01, 1.0


class Watched:
    """A breaker with a clock that the test sets, its transitions, and the longest possible jitter."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.now = 1_000.0
        self.transitions: list[tuple[State, State]] = []
        self.breaker = CircuitBreaker(
            policy, draw=lambda: 1.0, on_transition=lambda *both: self.transitions.append(both)
        )

    def admit(self) -> Permit:
        return self.breaker.admit(self.now)

    def record(self, permit: Permit, outcome: CallOutcome, seconds: float = FAST) -> None:
        self.breaker.record(permit, outcome, seconds=seconds, now=self.now)

    def call(self, outcome: CallOutcome, times: int = 1, seconds: float = FAST) -> None:
        for _ in range(times):
            self.record(self.admit(), outcome, seconds)

    def open(self) -> None:
        self.call(CallOutcome.FAILED, POLICY.fewest_calls)
        assert self.breaker.state is State.OPEN

    def half_open(self) -> Permit:
        self.open()
        self.now += POLICY.open_seconds
        permit = self.admit()
        assert self.breaker.state is State.HALF_OPEN
        return permit

    def refused(self) -> bool:
        try:
            self.admit()
        except CircuitOpen:
            return True
        return False


# --- Closed -----------------------------------------------------------------------------------------------------------


def test_too_few_calls_do_not_open_it() -> None:
    watched = Watched()
    watched.call(CallOutcome.FAILED, POLICY.fewest_calls - 1)
    assert watched.breaker.state is State.CLOSED


def test_half_of_the_calls_failing_opens_it() -> None:
    watched = Watched()
    watched.call(CallOutcome.ANSWERED, 10)
    watched.call(CallOutcome.FAILED, 9)
    assert watched.breaker.state is State.CLOSED
    watched.call(CallOutcome.FAILED)
    assert watched.transitions == [(State.CLOSED, State.OPEN)]


@pytest.mark.parametrize(("slow", "state"), [(79, State.CLOSED), (80, State.OPEN)])
def test_most_calls_being_slow_opens_it(slow: int, state: State) -> None:
    watched = Watched()
    watched.call(CallOutcome.ANSWERED, 100 - slow)
    watched.call(CallOutcome.ANSWERED, slow, seconds=SLOW)
    assert watched.breaker.state is state


def test_consecutive_failures_open_it_after_any_successes() -> None:
    watched = Watched()
    watched.call(CallOutcome.ANSWERED, 1_000)
    watched.call(CallOutcome.FAILED, POLICY.failures_in_a_row - 1)
    assert watched.transitions == []
    watched.call(CallOutcome.FAILED)
    assert watched.breaker.state is State.OPEN


def test_calls_older_than_the_window_do_not_count() -> None:
    watched = Watched()
    watched.call(CallOutcome.FAILED, POLICY.fewest_calls - 1)
    watched.now += POLICY.window_seconds
    watched.call(CallOutcome.ANSWERED)
    watched.call(CallOutcome.FAILED, POLICY.fewest_calls // 2)
    assert watched.breaker.state is State.CLOSED


def test_calls_that_their_caller_gave_up_do_not_count() -> None:
    watched = Watched()
    watched.call(CallOutcome.GIVEN_UP, 1_000, seconds=SLOW)
    assert watched.breaker.state is State.CLOSED


# --- Open -------------------------------------------------------------------------------------------------------------


def test_an_open_breaker_rejects_calls_with_its_remaining_time() -> None:
    watched = Watched()
    watched.open()
    watched.now += 1.0
    with pytest.raises(CircuitOpen) as refused:
        watched.admit()
    assert refused.value.retry_after_seconds == pytest.approx(POLICY.open_seconds - 1.0)


def test_failed_probes_keep_it_open_longer_up_to_a_limit() -> None:
    watched = Watched()
    permit = watched.half_open()
    for expected in (POLICY.longest_open_seconds, POLICY.longest_open_seconds):
        watched.record(permit, CallOutcome.FAILED)
        watched.now += expected - 0.001
        assert watched.refused()
        watched.now += 0.001
        permit = watched.admit()


def test_once_closed_it_begins_again_with_the_shortest_time() -> None:
    watched = Watched()
    watched.record(watched.half_open(), CallOutcome.FAILED)
    watched.now += POLICY.longest_open_seconds
    watched.call(CallOutcome.ANSWERED, POLICY.probes)
    assert watched.breaker.state is State.CLOSED
    watched.half_open()


def test_jitter_shortens_the_time_by_up_to_half() -> None:
    breaker = CircuitBreaker(POLICY, draw=lambda: 0.0, on_transition=lambda *_: None)
    for _ in range(POLICY.fewest_calls):
        breaker.record(breaker.admit(0.0), CallOutcome.FAILED, seconds=FAST, now=0.0)
    breaker.admit(POLICY.open_seconds / 2)
    assert breaker.state is State.HALF_OPEN


# --- Half-open --------------------------------------------------------------------------------------------------------


def test_half_open_lets_no_crowd_through() -> None:
    watched = Watched()
    watched.half_open()
    assert [watched.refused() for _ in range(50)].count(False) == POLICY.probes - 1


def test_all_probes_answered_close_it() -> None:
    watched = Watched()
    watched.record(watched.half_open(), CallOutcome.ANSWERED)
    watched.call(CallOutcome.ANSWERED, POLICY.probes - 2)
    assert watched.breaker.state is State.HALF_OPEN
    watched.call(CallOutcome.ANSWERED)
    assert watched.transitions[-1] == (State.HALF_OPEN, State.CLOSED)


@pytest.mark.parametrize(
    ("outcome", "seconds"), [(CallOutcome.FAILED, FAST), (CallOutcome.ANSWERED, SLOW)], ids=["failed", "slow"]
)
def test_one_probe_that_fails_or_is_slow_opens_it_again(outcome: CallOutcome, seconds: float) -> None:
    watched = Watched()
    watched.record(watched.half_open(), outcome, seconds)
    assert watched.breaker.state is State.OPEN


def test_a_probe_that_its_caller_gave_up_makes_room_for_another() -> None:
    watched = Watched()
    permits = [watched.half_open(), *(watched.admit() for _ in range(POLICY.probes - 1))]
    assert watched.refused()
    watched.record(permits[0], CallOutcome.GIVEN_UP)
    assert not watched.refused()


def test_unanswered_probes_open_it_again() -> None:
    watched = Watched()
    watched.half_open()
    watched.now += POLICY.probe_seconds
    assert watched.refused()
    assert watched.breaker.state is State.OPEN


@pytest.mark.parametrize("outcome", [CallOutcome.ANSWERED, CallOutcome.GIVEN_UP])
def test_few_calls_never_open_it_again(outcome: CallOutcome) -> None:
    """As of a saga worker after the customers have left: each call comes when the time of the one before is over."""
    watched = Watched()
    watched.record(watched.half_open(), outcome)
    for _ in range(POLICY.probes - 1):
        watched.now += 2 * POLICY.probe_seconds
        watched.call(outcome)
    assert watched.transitions.count((State.HALF_OPEN, State.OPEN)) == 0
    assert watched.breaker.state is (State.CLOSED if outcome is CallOutcome.ANSWERED else State.HALF_OPEN)


def test_a_probe_has_its_time_however_long_it_has_been_half_open() -> None:
    watched = Watched()
    watched.record(watched.half_open(), CallOutcome.ANSWERED)
    watched.now += POLICY.probe_seconds - 0.001
    watched.admit()
    watched.now += POLICY.probe_seconds - 0.001
    assert not watched.refused()
    watched.now += 0.001
    assert watched.refused()
    assert watched.breaker.state is State.OPEN


def test_a_late_success_never_closes_it() -> None:
    """Five calls from before it opened come back answered while it is half-open."""
    watched = Watched()
    late = [watched.admit() for _ in range(POLICY.probes)]
    watched.half_open()
    for permit in late:
        watched.record(permit, CallOutcome.ANSWERED)
    assert watched.breaker.state is State.HALF_OPEN


def test_a_late_failure_does_not_open_a_closed_breaker() -> None:
    watched = Watched()
    late = [watched.admit() for _ in range(POLICY.failures_in_a_row)]
    watched.record(watched.half_open(), CallOutcome.ANSWERED)
    watched.call(CallOutcome.ANSWERED, POLICY.probes - 1)
    for permit in late:
        watched.record(permit, CallOutcome.FAILED)
    assert watched.breaker.state is State.CLOSED


# --- Whatever happens -------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 3), max_size=200))
def test_business_errors_never_open_it_for_they_are_answers(pauses: list[float]) -> None:
    watched = Watched()
    for pause in pauses:
        watched.now += pause
        watched.call(CallOutcome.ANSWERED)
    assert watched.breaker.state is State.CLOSED


class AnyOrder(RuleBasedStateMachine):
    """Calls that begin and end in any order, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = Watched(replace(POLICY, fewest_calls=4, failures_in_a_row=4, probes=3))
        self.under_way: list[tuple[Permit, int]] = []

    @property
    def changes(self) -> int:
        return len(self.watched.transitions)

    @rule()
    def begin(self) -> None:
        try:
            permit = self.watched.admit()
        except CircuitOpen:
            assert self.watched.breaker.state is not State.CLOSED
        else:
            self.under_way.append((permit, self.changes))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), outcome=st.sampled_from(CallOutcome), seconds=st.sampled_from((FAST, SLOW)))
    def end(self, data: st.DataObject, outcome: CallOutcome, seconds: float) -> None:
        permit, began_at = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        before, changes = self.watched.breaker.state, self.changes
        self.watched.record(permit, outcome, seconds)
        if began_at != changes:
            assert self.watched.breaker.state is before, "a late result changes nothing"

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.watched.now += seconds

    @invariant()
    def half_open_has_few_under_way(self) -> None:
        if self.watched.breaker.state is State.HALF_OPEN:
            probes = sum(began_at == self.changes for _, began_at in self.under_way)
            assert probes <= self.watched.breaker.policy.probes

    @invariant()
    def transitions_follow_each_other(self) -> None:
        allowed = {
            (State.CLOSED, State.OPEN),
            (State.OPEN, State.HALF_OPEN),
            (State.HALF_OPEN, State.OPEN),
            (State.HALF_OPEN, State.CLOSED),
        }
        assert set(self.watched.transitions) <= allowed


@pytest.mark.parametrize("examples", [40, *in_full(200)])
def test_in_any_order(examples: int) -> None:
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=examples, stateful_step_count=60, deadline=None))

"""Who is let in, and what happens to a place, with a clock and a lateness that the test sets."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.telemetry.admission import AdmissionTelemetry
from observability.telemetry.telemetry import Telemetry, unobserved
from services.infra.admission import (
    LATE_SECONDS,
    PLACES_PER_CONNECTION,
    RECENT_SECONDS,
    SHARES,
    Admission,
    DeadlineTooShort,
    Priority,
    elsewhere,
)
from services.kernel.errors import DeadlineExceeded, Overloaded
from tests.unit.telemetry.counted import counted, counting

CONNECTIONS = 10
PLACES = PLACES_PER_CONNECTION * CONNECTIONS


class Door:
    """An admission whose time and lateness are the test's."""

    def __init__(self, *, enabled: bool = True, telemetry: Telemetry | None = None) -> None:
        self.now = 100.0
        self.late_seconds = 0.0
        self.held = ExitStack()
        self.admission = Admission(
            connections=CONNECTIONS,
            late_seconds=lambda: self.late_seconds,
            telemetry=AdmissionTelemetry(telemetry or unobserved("test")),
            enabled=enabled,
            clock=lambda: self.now,
        )

    def lets_in(self, priority: Priority = Priority.BEGIN, *, remaining_seconds: float = 2.0) -> bool:
        """Ask for a place and give it back."""
        try:
            with self.admission.enter("work", priority, stage="grpc", remaining_seconds=remaining_seconds):
                return True
        except (Overloaded, DeadlineExceeded):
            return False

    def fill(self, count: int) -> None:
        """Take places for good."""
        for _ in range(count):
            self.held.enter_context(self.admission.enter("work", Priority.END, stage="grpc", remaining_seconds=2.0))


# --- Places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", Priority)
def test_each_priority_has_its_share_of_the_places(priority: Priority) -> None:
    door = Door()
    door.fill(round(SHARES[priority] * PLACES) - 1)
    assert door.lets_in(priority)
    door.fill(1)
    assert not door.lets_in(priority)


def test_what_ends_something_is_let_in_for_longer_than_what_begins_it() -> None:
    assert SHARES[Priority.END] > SHARES[Priority.BEGIN] > SHARES[Priority.READ] > SHARES[Priority.LIST]


@pytest.mark.parametrize("error", [None, ValueError, asyncio.CancelledError])
def test_a_place_is_given_back_however_its_work_ends(error: type[BaseException] | None) -> None:
    door = Door()
    try:
        with door.admission.enter("work", Priority.BEGIN, stage="grpc", remaining_seconds=2.0):
            assert door.admission.at_work == 1
            if error:
                raise error
    except (ValueError, asyncio.CancelledError):
        pass
    assert door.admission.at_work == 0


def test_a_deadline_that_is_too_short_is_not_called_a_lack_of_capacity() -> None:
    door = Door()
    with door.admission.enter("work", Priority.BEGIN, stage="grpc", remaining_seconds=2.0):
        door.now += 0.5
    with pytest.raises(DeadlineTooShort):
        door.admission.enter("work", Priority.BEGIN, stage="grpc", remaining_seconds=0.4)


def test_with_the_guard_off_everything_is_let_in() -> None:
    door = Door(enabled=False)
    door.fill(10 * PLACES)
    door.late_seconds = 10.0
    assert door.lets_in(Priority.LIST, remaining_seconds=0.0)


# --- Waiting elsewhere ------------------------------------------------------------------------------------------------


def test_who_waits_elsewhere_keeps_no_place() -> None:
    door = Door()
    with door.admission.enter("work", Priority.BEGIN, stage="grpc", remaining_seconds=2.0):
        with elsewhere():
            assert (door.admission.at_work, door.admission.elsewhere) == (0, 1)
        assert (door.admission.at_work, door.admission.elsewhere) == (1, 0)


def test_a_place_is_given_back_once_however_deep_the_calls_are() -> None:
    door = Door()
    with door.admission.enter("work", Priority.BEGIN, stage="grpc", remaining_seconds=2.0), elsewhere(), elsewhere():
        assert (door.admission.at_work, door.admission.elsewhere) == (0, 1)


def test_what_nobody_admitted_has_no_place_to_give_back() -> None:
    with elsewhere():
        pass


async def test_those_who_wait_elsewhere_have_a_limit_too() -> None:
    """Each in a task of its own, as requests are."""
    door = Door()
    ends = asyncio.Event()

    async def wait_elsewhere() -> None:
        with door.admission.enter("work", Priority.END, stage="grpc", remaining_seconds=2.0), elsewhere():
            await ends.wait()

    tasks = [asyncio.create_task(wait_elsewhere()) for _ in range(door.admission.places_elsewhere)]
    await asyncio.sleep(0)
    assert not door.lets_in(Priority.END)
    ends.set()
    await asyncio.gather(*tasks)
    assert door.lets_in(Priority.END)
    assert (door.admission.at_work, door.admission.elsewhere) == (0, 0)


# --- Time -------------------------------------------------------------------------------------------------------------


def take(door: Door, seconds: float) -> None:
    """Let one piece of work take a time."""
    with door.admission.enter("work", Priority.BEGIN, stage="grpc", remaining_seconds=60.0):
        door.now += seconds


def test_less_time_than_the_fastest_took_is_too_little() -> None:
    door = Door()
    take(door, 0.5)
    take(door, 0.1)
    assert not door.lets_in(remaining_seconds=0.09)
    assert door.lets_in(remaining_seconds=0.11)


def test_what_the_fastest_took_long_ago_is_forgotten() -> None:
    """So that a server which was slow does not turn everything away for good."""
    door = Door()
    take(door, 5.0)
    assert not door.lets_in(remaining_seconds=2.0)
    door.now += RECENT_SECONDS + 0.1
    assert door.lets_in(remaining_seconds=2.0)


def test_work_that_failed_does_not_say_what_work_takes() -> None:
    door = Door()
    take(door, 0.5)
    with (
        pytest.raises(ValueError, match="at once"),
        door.admission.enter("work", Priority.BEGIN, stage="grpc", remaining_seconds=2.0),
    ):
        raise ValueError("at once")
    assert door.admission.fastest_seconds("work") == 0.5


# --- The loop ---------------------------------------------------------------------------------------------------------


def test_a_late_loop_lets_in_only_what_ends_something() -> None:
    door = Door()
    door.late_seconds = LATE_SECONDS + 0.01
    assert [door.lets_in(priority) for priority in Priority] == [True, False, False, False]


# --- What is told -----------------------------------------------------------------------------------------------------


def test_each_decision_is_counted_under_its_stage_and_reason() -> None:
    telemetry = counting("test")
    door = Door(telemetry=telemetry)
    take(door, 1.0)
    take(door, 1.0)
    door.lets_in(remaining_seconds=0.5)
    door.late_seconds = 1.0
    door.lets_in()
    door.late_seconds = 0.0
    door.fill(PLACES)
    door.lets_in()
    name, labels = "shop_admission_decisions_total", {"context": "test", "stage": "grpc"}
    found = {
        decision: counted(telemetry, name, **labels, decision=decision)
        for decision in ("admitted", "deadline", "loop_lag", "limit")
    }
    assert found == {"admitted": 2 + PLACES, "deadline": 1, "loop_lag": 1, "limit": 1}
    assert counted(telemetry, "shop_admission_in_flight", context="test", where="here") == PLACES
    assert counted(telemetry, "shop_admission_limit", context="test", where="here") == PLACES


@given(st.lists(st.sampled_from(["enter", "leave", "go", "come"]), max_size=200))
def test_places_add_up_whatever_comes_and_goes(steps: list[str]) -> None:
    """Counted beside the door; whoever came or went last comes back or leaves first."""
    door = Door()
    inside, away = list[ExitStack](), list[ExitStack]()
    for step in steps:
        if step == "enter" and len(inside) + len(away) < PLACES:
            inside.append(ExitStack())
            inside[-1].enter_context(door.admission.enter("work", Priority.END, stage="grpc", remaining_seconds=2.0))
        elif step == "leave" and len(inside) > len(away):
            inside.pop().close()
        elif step == "go" and len(inside) > len(away):
            away.append(ExitStack())
            away[-1].enter_context(door.admission.give_back())
        elif step == "come" and away:
            away.pop().close()
        assert (door.admission.at_work, door.admission.elsewhere) == (len(inside) - len(away), len(away))

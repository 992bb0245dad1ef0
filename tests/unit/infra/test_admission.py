"""Admission controller: its decisions and slots, with a clock and a loop lag that the test sets."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.telemetry.admission import AdmissionTelemetry
from observability.telemetry.telemetry import Telemetry, unobserved
from services.infra.admission import (
    LATE_SECONDS,
    RECENT_SECONDS,
    SHARES,
    SLOTS_PER_CONNECTION,
    AdmissionController,
    DeadlineTooShort,
    Priority,
    waiting_downstream,
)
from services.kernel.errors import DeadlineExceeded, Overloaded
from tests.unit.telemetry.counted import counted, counting

CONNECTIONS = 10
SLOTS = SLOTS_PER_CONNECTION * CONNECTIONS


class ControlledAdmission:
    """An admission controller whose clock and loop lag the test sets."""

    def __init__(self, *, enabled: bool = True, telemetry: Telemetry | None = None) -> None:
        self.now = 100.0
        self.late_seconds = 0.0
        self.held = ExitStack()
        self.admission = AdmissionController(
            connections=CONNECTIONS,
            late_seconds=lambda: self.late_seconds,
            telemetry=AdmissionTelemetry(telemetry or unobserved("test")),
            enabled=enabled,
            clock=lambda: self.now,
        )

    def admits(self, priority: Priority = Priority.BEGIN, *, remaining_seconds: float = 2.0) -> bool:
        """Try to admit one request; return whether it was admitted."""
        try:
            with self.admission.admit("work", priority, stage="grpc", remaining_seconds=remaining_seconds):
                return True
        except (Overloaded, DeadlineExceeded):
            return False

    def fill(self, count: int) -> None:
        """Take slots and keep them."""
        for _ in range(count):
            self.held.enter_context(self.admission.admit("work", Priority.END, stage="grpc", remaining_seconds=2.0))


# --- Slots ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", Priority)
def test_each_priority_has_its_share_of_the_slots(priority: Priority) -> None:
    controlled = ControlledAdmission()
    controlled.fill(round(SHARES[priority] * SLOTS) - 1)
    assert controlled.admits(priority)
    controlled.fill(1)
    assert not controlled.admits(priority)


def test_priorities_are_rejected_in_reverse_order() -> None:
    assert SHARES[Priority.END] > SHARES[Priority.BEGIN] > SHARES[Priority.READ] > SHARES[Priority.LIST]


@pytest.mark.parametrize("error", [None, ValueError, asyncio.CancelledError])
def test_a_slot_is_released_however_the_request_ends(error: type[BaseException] | None) -> None:
    controlled = ControlledAdmission()
    try:
        with controlled.admission.admit("work", Priority.BEGIN, stage="grpc", remaining_seconds=2.0):
            assert controlled.admission.active == 1
            if error:
                raise error
    except (ValueError, asyncio.CancelledError):
        pass
    assert controlled.admission.active == 0


def test_a_too_short_deadline_is_no_overload() -> None:
    controlled = ControlledAdmission()
    with controlled.admission.admit("work", Priority.BEGIN, stage="grpc", remaining_seconds=2.0):
        controlled.now += 0.5
    with pytest.raises(DeadlineTooShort):
        controlled.admission.admit("work", Priority.BEGIN, stage="grpc", remaining_seconds=0.4)


def test_disabled_admission_control_admits_everything() -> None:
    controlled = ControlledAdmission(enabled=False)
    controlled.fill(10 * SLOTS)
    controlled.late_seconds = 10.0
    assert controlled.admits(Priority.LIST, remaining_seconds=0.0)


# --- Waiting downstream -----------------------------------------------------------------------------------------------


def test_a_request_that_waits_downstream_holds_no_slot() -> None:
    controlled = ControlledAdmission()
    with controlled.admission.admit("work", Priority.BEGIN, stage="grpc", remaining_seconds=2.0):
        with waiting_downstream():
            assert (controlled.admission.active, controlled.admission.waiting) == (0, 1)
        assert (controlled.admission.active, controlled.admission.waiting) == (1, 0)


def test_nested_waits_release_the_slot_once() -> None:
    controlled = ControlledAdmission()
    with (
        controlled.admission.admit("work", Priority.BEGIN, stage="grpc", remaining_seconds=2.0),
        waiting_downstream(),
        waiting_downstream(),
    ):
        assert (controlled.admission.active, controlled.admission.waiting) == (0, 1)


def test_waiting_downstream_without_a_slot_does_nothing() -> None:
    with waiting_downstream():
        pass


async def test_requests_that_wait_downstream_are_limited() -> None:
    """Each in a task of its own, as requests are."""
    controlled = ControlledAdmission()
    ends = asyncio.Event()

    async def wait_downstream() -> None:
        with (
            controlled.admission.admit("work", Priority.END, stage="grpc", remaining_seconds=2.0),
            waiting_downstream(),
        ):
            await ends.wait()

    tasks = [asyncio.create_task(wait_downstream()) for _ in range(controlled.admission.waiting_limit)]
    await asyncio.sleep(0)
    assert not controlled.admits(Priority.END)
    ends.set()
    await asyncio.gather(*tasks)
    assert controlled.admits(Priority.END)
    assert (controlled.admission.active, controlled.admission.waiting) == (0, 0)


# --- Time -------------------------------------------------------------------------------------------------------------


def serve(controlled: ControlledAdmission, seconds: float) -> None:
    """Admit one request that takes so many seconds."""
    with controlled.admission.admit("work", Priority.BEGIN, stage="grpc", remaining_seconds=60.0):
        controlled.now += seconds


def test_a_deadline_shorter_than_the_fastest_request_is_rejected() -> None:
    controlled = ControlledAdmission()
    serve(controlled, 0.5)
    serve(controlled, 0.1)
    assert not controlled.admits(remaining_seconds=0.09)
    assert controlled.admits(remaining_seconds=0.11)


def test_old_durations_are_forgotten() -> None:
    """Otherwise a server that was slow once would reject everything for ever."""
    controlled = ControlledAdmission()
    serve(controlled, 5.0)
    assert not controlled.admits(remaining_seconds=2.0)
    controlled.now += RECENT_SECONDS + 0.1
    assert controlled.admits(remaining_seconds=2.0)


def test_failed_requests_do_not_count_as_fastest() -> None:
    controlled = ControlledAdmission()
    serve(controlled, 0.5)
    with (
        pytest.raises(ValueError, match="at once"),
        controlled.admission.admit("work", Priority.BEGIN, stage="grpc", remaining_seconds=2.0),
    ):
        raise ValueError("at once")
    assert controlled.admission.fastest_seconds("work") == 0.5


# --- The loop ---------------------------------------------------------------------------------------------------------


def test_a_late_loop_admits_only_the_highest_priority() -> None:
    controlled = ControlledAdmission()
    controlled.late_seconds = LATE_SECONDS + 0.01
    assert [controlled.admits(priority) for priority in Priority] == [True, False, False, False]


# --- Metrics ----------------------------------------------------------------------------------------------------------


def test_each_decision_is_counted_under_its_stage_and_reason() -> None:
    telemetry = counting("test")
    controlled = ControlledAdmission(telemetry=telemetry)
    serve(controlled, 1.0)
    serve(controlled, 1.0)
    controlled.admits(remaining_seconds=0.5)
    controlled.late_seconds = 1.0
    controlled.admits()
    controlled.late_seconds = 0.0
    controlled.fill(SLOTS)
    controlled.admits()
    name, labels = "shop_admission_decisions_total", {"context": "test", "stage": "grpc"}
    found = {
        decision: counted(telemetry, name, **labels, decision=decision)
        for decision in ("admitted", "deadline", "loop_lag", "limit")
    }
    assert found == {"admitted": 2 + SLOTS, "deadline": 1, "loop_lag": 1, "limit": 1}
    assert counted(telemetry, "shop_admission_in_flight", context="test", state="active") == SLOTS
    assert counted(telemetry, "shop_admission_limit", context="test", state="active") == SLOTS


@given(st.lists(st.sampled_from(["enter", "leave", "wait", "return"]), max_size=200))
def test_slots_add_up_in_any_order_of_events(steps: list[str]) -> None:
    """The test counts on its own; the last one to enter or wait is the first to leave or return."""
    controlled = ControlledAdmission()
    inside, waiting = list[ExitStack](), list[ExitStack]()
    for step in steps:
        if step == "enter" and len(inside) + len(waiting) < SLOTS:
            inside.append(ExitStack())
            inside[-1].enter_context(
                controlled.admission.admit("work", Priority.END, stage="grpc", remaining_seconds=2.0)
            )
        elif step == "leave" and len(inside) > len(waiting):
            inside.pop().close()
        elif step == "wait" and len(inside) > len(waiting):
            waiting.append(ExitStack())
            waiting[-1].enter_context(controlled.admission.release())
        elif step == "return" and waiting:
            waiting.pop().close()
        assert (controlled.admission.active, controlled.admission.waiting) == (len(inside) - len(waiting), len(waiting))

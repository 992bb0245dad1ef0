"""Client-side throttling, with random numbers that the test sets."""

import random

import pytest

from services.infra.throttle import WINDOW_SECONDS, Throttle


def sent(throttle: Throttle, requests: int, *, accepted: int, now: float = 0.0) -> None:
    """Make calls of which the server accepts the first few."""
    for number in range(requests):
        if not throttle.rejects(now):
            throttle.answered(now, overloaded=number >= accepted)


def test_nothing_is_rejected_while_half_is_accepted() -> None:
    throttle = Throttle(draw=lambda: 0.0)
    sent(throttle, 100, accepted=50)
    assert throttle.rejection_probability(0.0) == 0


def test_calls_beyond_twice_the_accepted_are_rejected() -> None:
    """Of 100 requests 25 were accepted: (100 - 50) / 101."""
    throttle = Throttle(draw=lambda: 1.0)
    sent(throttle, 100, accepted=25)
    assert throttle.rejection_probability(0.0) == pytest.approx(50 / 101)


def test_the_server_still_sees_a_tenth_when_it_accepts_none() -> None:
    throttle = Throttle(draw=random.Random(7).random)
    sent(throttle, 100, accepted=0)
    let_through = 0
    for _ in range(1_000):
        if not throttle.rejects(0.0):
            let_through += 1
            throttle.answered(0.0, overloaded=True)
    assert 80 <= let_through <= 140


def test_calls_in_flight_do_not_cause_rejections() -> None:
    """After a pause, of the first calls that are made together none has been accepted yet."""
    throttle = Throttle(draw=lambda: 0.0)
    assert not any(throttle.rejects(0.0) for _ in range(100))


def test_calls_older_than_the_window_do_not_count() -> None:
    throttle = Throttle(draw=lambda: 1.0)
    sent(throttle, 100, accepted=0)
    assert throttle.rejection_probability(WINDOW_SECONDS) == 0


def test_it_stops_rejecting_within_two_windows_of_recovery() -> None:
    """50 requests a second, of which the server had accepted none."""
    throttle = Throttle(draw=random.Random(7).random)
    sent(throttle, 500, accepted=0)
    for number in range(1_000):
        now = number / 50
        if not throttle.rejects(now):
            throttle.answered(now, overloaded=False)
    assert throttle.rejection_probability(20.0) == 0

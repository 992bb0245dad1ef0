"""Tests of the slices of a time window: all of it is asked for once, in slices that a store can answer whole."""

import time
from collections.abc import Callable

import pytest

from observability.live.http_client import AnswerTooLong, OutOfBudget, SourceFailed
from observability.live.time_slices import SliceAnswer, TimeSlice, WindowRead, read_window, window_since

WINDOW = TimeSlice(1_000.0, 1_900.0)


def slices(answer: Callable[[TimeSlice], SliceAnswer], shortest: float = 0.01) -> tuple[WindowRead, list[TimeSlice]]:
    """Read the window; return how much was read, and the slices that were asked for."""
    asked: list[TimeSlice] = []

    def fetch(part: TimeSlice) -> SliceAnswer:
        asked.append(part)
        return answer(part)

    read = read_window(WINDOW, fetch=fetch, keep=lambda _: None, shortest_seconds=shortest, progress=lambda _: None)
    return read, asked


def test_slices_fill_the_window_once() -> None:
    read, asked = slices(lambda part: SliceAnswer(is_full=part.seconds > 10))
    assert read.read_seconds == pytest.approx(WINDOW.seconds)
    parts = sorted((part.start, part.end) for part in asked if part.seconds <= 10)
    assert [part[0] for part in parts[1:]] == pytest.approx([part[1] for part in parts[:-1]])


def test_a_length_that_was_too_long_is_not_asked_for_again() -> None:
    """After the first full answers, slices are halved without a request."""
    _, asked = slices(lambda part: SliceAnswer(is_full=part.seconds > 1))
    assert sum(part.seconds > 4 for part in asked) < 10


def test_what_is_read_before_the_limit_is_spread_over_the_window() -> None:
    left = iter(range(20))

    def answer(part: TimeSlice) -> SliceAnswer:
        if next(left, None) is None:
            raise OutOfBudget("the limit of 1 s")
        return SliceAnswer(is_full=part.seconds > 20)

    read, asked = slices(answer)
    assert (read.stopped_by, read.left > 0) == ("the limit of 1 s", True)
    thirds = {int((part.start - WINDOW.start) / WINDOW.seconds * 3) for part in asked[-10:]}
    assert thirds == {0, 1, 2}


def test_the_shortest_slices_that_are_full_count_as_not_read() -> None:
    read, _ = slices(lambda part: SliceAnswer(is_full=part.start < 1_100), shortest=10.0)
    assert read.truncated > 0
    assert read.read_seconds < WINDOW.seconds


def test_an_answer_that_is_too_long_is_read_in_halves() -> None:
    def answer(part: TimeSlice) -> SliceAnswer:
        if part.seconds > 20:
            raise AnswerTooLong
        return SliceAnswer()

    assert slices(answer)[0].read_seconds == pytest.approx(WINDOW.seconds)


def test_a_failure_ends_the_reading_but_for_the_first() -> None:
    answers = iter([SliceAnswer()])

    def answer(_: TimeSlice) -> SliceAnswer:
        found = next(answers, None)
        if found is None:
            raise SourceFailed("it answered 500")
        return found

    assert slices(answer)[0].stopped_by == "it answered 500"
    with pytest.raises(SourceFailed):
        slices(answer)


@pytest.mark.parametrize("text", ["", "15", "0m", "-5m", "1w", "1.5h", "m"])
def test_a_length_of_time_needs_a_number_and_a_unit(text: str) -> None:
    with pytest.raises(SourceFailed, match="--since"):
        window_since(text)


def test_a_window_ends_when_its_spans_have_come_in() -> None:
    window = window_since("2h")
    assert window.seconds == 7200
    assert window.end < time.time()

"""Time slices: reads a window slice by slice, spread over the window, each in full or not at all."""

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from observability.live.http_client import AnswerTooLong, OutOfBudget, SourceFailed

# Spans come in some seconds after they ended; the traces of this time may not be whole yet.
_SETTLING_SECONDS = 10
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([1-9]\d{0,8})([smhd])")
# After so many full answers slices of this length are halved without a request.
_FULL_IN_A_ROW = 3
# A power of two, so that the slices can be read in bit-reversed order.
_SLICES = 32
_BITS = 5


@dataclass(frozen=True, slots=True)
class TimeSlice:
    """A part of a time window, in seconds since the Unix epoch."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """The length of the slice."""
        return self.end - self.start

    def halves(self) -> "tuple[TimeSlice, TimeSlice]":
        """Return both halves, the earlier one first."""
        middle = (self.start + self.end) / 2
        return TimeSlice(self.start, middle), TimeSlice(middle, self.end)


@dataclass(frozen=True, slots=True)
class SliceAnswer:
    """What a store returned for a slice.

    pages: answers with traces.
    trace_ids: of the traces in these.
    is_full: whether the store may have more traces in the slice.
    missing_ids: of traces that it listed but did not return.
    """

    pages: tuple[bytes, ...] = ()
    trace_ids: frozenset[str] = frozenset()
    is_full: bool = False
    missing_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class WindowRead:
    """How much of a window was read; fields as in Coverage, and what is still to do in slices."""

    read_seconds: float = 0.0
    truncated: int = 0
    stopped_by: str = ""
    left: int = 0


def read_window(
    window: TimeSlice,
    *,
    fetch: Callable[[TimeSlice], SliceAnswer],
    keep: Callable[[SliceAnswer], None],
    shortest_seconds: float,
    progress: Callable[[WindowRead], None],
) -> WindowRead:
    """Read all slices until the budget is used up; a slice that holds too many traces is read in halves.

    Halves come after all slices of their parents' length, so that what is read when the budget ends is spread over the
    window. Raises SourceFailed when the first request fails, later ones end the reading.
    """
    queue = deque(_spread(window))
    longest, full_in_a_row = window.seconds, 0
    read = WindowRead()
    asked = False
    while queue:
        part = queue.popleft()
        try:
            if part.seconds > longest:
                queue.extend(part.halves())
                continue
            answer = fetch(part)
        except AnswerTooLong:
            answer = SliceAnswer(is_full=True)
        except SourceFailed as error:
            if not asked and not isinstance(error, OutOfBudget):
                raise
            return replace(read, stopped_by=str(error), left=len(queue) + 1)
        asked = True
        full_in_a_row = full_in_a_row + 1 if answer.is_full else 0
        if not answer.is_full:
            keep(answer)
            read = replace(read, read_seconds=read.read_seconds + part.seconds)
        elif part.seconds / 2 >= shortest_seconds:
            if full_in_a_row >= _FULL_IN_A_ROW:
                longest, full_in_a_row = part.seconds / 2, 0
            queue.extend(part.halves())
        else:
            read = replace(read, truncated=read.truncated + 1)
        progress(replace(read, left=len(queue)))
    return read


def window_since(text: str) -> TimeSlice:
    """Return the window of this length, such as 15m, until ten seconds ago. Raises SourceFailed."""
    end = time.time() - _SETTLING_SECONDS
    return TimeSlice(end - _seconds_of(text, "--since"), end)


def earlier(window: TimeSlice, text: str) -> TimeSlice:
    """Return the window of the same length that began this much earlier, such as 1d. Raises SourceFailed."""
    before = _seconds_of(text, "--baseline-since")
    if before < window.seconds:
        raise SourceFailed(f"the baseline began {text} earlier and is not over: make --baseline-since at least --since")
    return TimeSlice(window.start - before, window.end - before)


def _seconds_of(text: str, option: str) -> int:
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise SourceFailed(f"{text!r} is not a length of time like 90s, 15m, 2h or 1d: correct {option}")
    return int(found[1]) * _UNITS[found[2]]


def _spread(window: TimeSlice) -> list[TimeSlice]:
    """Return equal slices in bit-reversed order: the first few are already spread over the window."""
    length = window.seconds / _SLICES
    numbers = [int(f"{number:0{_BITS}b}"[::-1], 2) for number in range(_SLICES)]
    return [TimeSlice(window.start + number * length, window.start + (number + 1) * length) for number in numbers]

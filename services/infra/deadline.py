"""Deadline of the current call, carried in a context variable from the edge to the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

# Limit of a wait when no caller set a deadline.
DEFAULT_SECONDS = 10.0
# Kept back from a callee, so that the caller can still answer after the callee's timeout.
MARGIN_SECONDS = 0.1

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Set a deadline for the with block; an earlier one that is already set stays."""
    current = _deadline.get()
    ends = monotonic() + seconds
    token = _deadline.set(ends if current is None else min(current, ends))
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def detached(seconds: float) -> Iterator[None]:
    """Set a deadline for the with block and ignore the caller's, for work that is shared with other callers."""
    token = _deadline.set(monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining_seconds() -> float:
    """Return the seconds until the deadline: at least 0, at most `DEFAULT_SECONDS`."""
    ends = _deadline.get()
    return DEFAULT_SECONDS if ends is None else max(0.0, min(DEFAULT_SECONDS, ends - monotonic()))

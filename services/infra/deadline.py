"""How much time is left? The deadline of the current call, carried in a context variable from edge to database."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

# The longest anything waits when no caller set a deadline.
DEFAULT_SECONDS = 10.0
# What is kept back from a callee, so that an answer can still be given after its time is up.
MARGIN_SECONDS = 0.1

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give the block a deadline; a nearer one that is already set stays."""
    current = _deadline.get()
    ends = monotonic() + seconds
    token = _deadline.set(ends if current is None else min(current, ends))
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def anew(seconds: float) -> Iterator[None]:
    """Give the block a deadline of its own, whatever is set: for what is done for others than who began it, too."""
    token = _deadline.set(monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining_seconds(*, most: float = DEFAULT_SECONDS) -> float:
    """Return the seconds left, 0 when time is up, at most `most`."""
    ends = _deadline.get()
    return most if ends is None else max(0.0, min(most, ends - monotonic()))

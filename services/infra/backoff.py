"""Retry delays of background work: exponential back-off with full jitter."""

import random

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 60.0


def full_jitter_seconds(failures: int, *, most_seconds: float = LONGEST_SECONDS) -> float:
    """Return the seconds to wait after `failures` failures in a row, which is at least one."""
    return random.uniform(0, min(most_seconds, FIRST_SECONDS * 2.0 ** min(failures, 20)))  # noqa: S311  # jitter

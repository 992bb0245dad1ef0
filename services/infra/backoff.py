"""How long until something durable is tried again? Full jitter: any moment below a bound that doubles."""

import random

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 60.0


def full_jitter_seconds(failures: int, *, most_seconds: float = LONGEST_SECONDS) -> float:
    """Return the seconds to wait after so many failures in a row, at least one."""
    return random.uniform(0, min(most_seconds, FIRST_SECONDS * 2.0 ** min(failures, 20)))  # noqa: S311  # jitter

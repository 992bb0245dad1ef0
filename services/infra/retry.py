"""What if nobody knows whether a call took effect? Repeat it with the same id while there is time."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

from services.infra import deadline
from services.kernel.errors import Kind, ServiceError

Result = TypeVar("Result")

# INTERNAL belongs here: a bug after the commit and one before it look alike to the caller.
UNKNOWN = frozenset({Kind.OVERLOADED, Kind.UNAVAILABLE, Kind.DEADLINE, Kind.INTERNAL})


def is_unknown(error: Exception) -> bool:
    """Say whether a mutating call that ended like this may still have taken effect, or may on a repeat."""
    return isinstance(error, ServiceError) and error.kind in UNKNOWN


async def until_known(call: Callable[[], Awaitable[Result]]) -> Result:
    """Repeat an idempotent call, with full jitter, until its outcome is known or the deadline is near.

    Raises the last error when it is not known in time; business errors are outcomes and pass at once.
    """
    time_left = deadline.remaining_seconds() - 2 * deadline.MARGIN_SECONDS
    retries = stamina.retry_context(
        on=is_unknown,
        attempts=10,
        timeout=max(0.0, time_left),
        wait_initial=0.05,
        wait_max=0.5,
        wait_jitter=0.05,
    )
    async for attempt in retries:
        with attempt:
            return await call()
    raise AssertionError("stamina ends with a result or raises")

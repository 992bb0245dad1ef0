"""What if nobody knows whether a call took effect? Repeat it with the same id while there is time."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception, stop_before_delay, wait_random_exponential

from services.infra import deadline
from services.kernel.errors import Kind, ServiceError

Result = TypeVar("Result")

# INTERNAL belongs here: a bug after the commit and one before it look alike to the caller.
UNKNOWN = frozenset({Kind.OVERLOADED, Kind.UNAVAILABLE, Kind.DEADLINE, Kind.INTERNAL})
FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 0.5


def is_unknown(error: BaseException) -> bool:
    """Say whether a mutating call that ended like this may still have taken effect, or may on a repeat."""
    return isinstance(error, ServiceError) and error.kind in UNKNOWN


async def until_known(call: Callable[[], Awaitable[Result]]) -> Result:
    """Repeat an idempotent call, with full jitter, until its outcome is known or the deadline is near.

    Raises the last error when it is not known in time; business errors are outcomes and pass at once. Time is kept
    back, so that the caller can still answer that the end is not known.
    """
    with deadline.within(deadline.remaining_seconds() - deadline.MARGIN_SECONDS):
        retries = AsyncRetrying(
            retry=retry_if_exception(is_unknown),
            stop=stop_before_delay(deadline.remaining_seconds()),
            wait=wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
            reraise=True,
        )
        return await retries(call)

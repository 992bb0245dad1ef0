"""Classification of consumer errors: poison messages, which are parked, and transient errors, which are retried."""

import asyncpg

from services.kernel.errors import ErrorKind, ServiceError

TRANSIENT = frozenset({ErrorKind.OVERLOADED, ErrorKind.UNAVAILABLE, ErrorKind.DEADLINE})


def is_poison(error: Exception) -> bool:
    """Return whether the same event would fail again at every attempt.

    A bug counts as poison, since it concerns this event. A wrong schema, role or server does not: every event would be
    parked.
    """
    if isinstance(error, ServiceError):
        return error.kind not in TRANSIENT
    if isinstance(error, asyncpg.PostgresError):
        return isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError)
    return not isinstance(error, OSError)  # includes TimeoutError

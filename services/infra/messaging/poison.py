"""Whose fault is it that an event cannot be consumed? The event's, or that of the moment: only the first is parked."""

import asyncpg

from services.kernel.errors import ErrorKind, ServiceError

TRANSIENT = frozenset({ErrorKind.OVERLOADED, ErrorKind.UNAVAILABLE, ErrorKind.DEADLINE})


def is_poison(error: Exception) -> bool:
    """Say whether the same event will fail again, whenever it comes.

    A bug counts as that, since it is one for this event. A schema, a role or a server that is not as it should be is no
    event's fault: it would have every event parked.
    """
    if isinstance(error, ServiceError):
        return error.kind not in TRANSIENT
    if isinstance(error, asyncpg.PostgresError):
        return isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError)
    return not isinstance(error, OSError)  # TimeoutError is one of them

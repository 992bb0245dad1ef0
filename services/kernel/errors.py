"""Errors that any context can raise: each states a fact, carries typed data, and knows its kind."""

from dataclasses import dataclass
from enum import Enum


class ErrorKind(Enum):
    """What a caller can do about an error; each boundary maps a kind to its own status, once."""

    INVALID = "mend the request"
    REUSED = "use another request id"
    NOT_FOUND = "ask for something that exists"
    PRECONDITION = "change the state first"
    CONFLICT = "read again, then repeat"
    OVERLOADED = "repeat later"
    UNAVAILABLE = "repeat later, with the same request id"
    DEADLINE = "the outcome is unknown: repeat with the same request id"
    INTERNAL = "report the error id"


class ServiceError(Exception):
    """The base of every error a context answers with. The first line of an error's docstring is its message."""

    kind: ErrorKind
    reason: str

    def __str__(self) -> str:
        """Return the message: it states the fact and holds no data of the request."""
        return (self.__doc__ or self.reason).splitlines()[0]


@dataclass
class InvalidField(ServiceError):
    """A request field is out of bounds."""

    kind = ErrorKind.INVALID
    field: str  # its path in the request, as in lines[3].quantity
    reason: str
    description: str


@dataclass
class RequestIdReused(ServiceError):
    """The request id came before with other content."""

    kind, reason = ErrorKind.REUSED, "REQUEST_ID_REUSED"


@dataclass
class IdempotencyInProgress(ServiceError):
    """The first call with this request id is still at work."""

    kind, reason = ErrorKind.CONFLICT, "IDEMPOTENCY_IN_PROGRESS"


@dataclass
class Overloaded(ServiceError):
    """There is no capacity for this call now, so it was not begun; an earlier one may have been."""

    kind, reason = ErrorKind.OVERLOADED, "OVERLOADED"
    retry_after_seconds: float


@dataclass
class Unavailable(ServiceError):
    """Something this call needs is away; what was begun may have been done."""

    kind, reason = ErrorKind.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"
    retry_after_seconds: float


class CircuitOpen(Unavailable):
    """What this call needs did not answer lately, so it was not asked; nothing was done."""

    reason = "CIRCUIT_OPEN"


@dataclass
class DeadlineExceeded(ServiceError):
    """Time ran out; the outcome is unknown."""

    kind, reason = ErrorKind.DEADLINE, "DEADLINE_EXCEEDED"


@dataclass
class Internal(ServiceError):
    """A bug; the log holds it under the error id."""

    kind, reason = ErrorKind.INTERNAL, "INTERNAL"
    error_id: str

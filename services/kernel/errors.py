"""Errors shared by all contexts: each states a fact, carries typed data, and has a kind."""

from dataclasses import dataclass
from enum import Enum


class ErrorKind(Enum):
    """Kind of an error; its value says what a caller can do. Each boundary maps kinds to its own status codes."""

    INVALID = "correct the request"
    REUSED = "use another request id"
    NOT_FOUND = "request something that exists"
    PRECONDITION = "change the state, then repeat"
    CONFLICT = "read again, then retry"
    OVERLOADED = "retry later"
    UNAVAILABLE = "retry later, with the same request id"
    DEADLINE = "the outcome is unknown: retry with the same request id"
    INTERNAL = "report the error id"


class ServiceError(Exception):
    """Base of all errors that a context returns. The first line of an error's docstring is its message."""

    kind: ErrorKind
    reason: str

    def __str__(self) -> str:
        """Return the message, which holds no data of the request."""
        return (self.__doc__ or self.reason).splitlines()[0]


@dataclass
class InvalidField(ServiceError):
    """A request field is invalid."""

    kind = ErrorKind.INVALID
    field: str  # path in the request, such as lines[3].quantity
    reason: str
    description: str


@dataclass
class RequestIdReused(ServiceError):
    """The request id was used before with other content."""

    kind, reason = ErrorKind.REUSED, "REQUEST_ID_REUSED"


@dataclass
class IdempotencyInProgress(ServiceError):
    """The first call with this request id is still in progress."""

    kind, reason = ErrorKind.CONFLICT, "IDEMPOTENCY_IN_PROGRESS"


@dataclass
class Overloaded(ServiceError):
    """There is no capacity for this call now, so it was not begun; an earlier attempt may have been."""

    kind, reason = ErrorKind.OVERLOADED, "OVERLOADED"
    retry_after_seconds: float


@dataclass
class Unavailable(ServiceError):
    """A dependency of this call is unavailable; the call may have taken effect."""

    kind, reason = ErrorKind.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"
    retry_after_seconds: float


class CircuitOpen(Unavailable):
    """A dependency of this call failed repeatedly, so it was not called; nothing was done."""

    reason = "CIRCUIT_OPEN"


@dataclass
class DeadlineExceeded(ServiceError):
    """The deadline passed; the outcome is unknown."""

    kind, reason = ErrorKind.DEADLINE, "DEADLINE_EXCEEDED"


@dataclass
class Internal(ServiceError):
    """An internal error; the log has its details under the error id."""

    kind, reason = ErrorKind.INTERNAL, "INTERNAL"
    error_id: str

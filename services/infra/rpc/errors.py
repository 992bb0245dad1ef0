"""How does an error cross gRPC? A status with google.rpc details on one side, the same typed error on the other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from services.kernel.errors import (
    CircuitOpen,
    DeadlineExceeded,
    ErrorKind,
    IdempotencyInProgress,
    Internal,
    InvalidField,
    Overloaded,
    RequestIdReused,
    ServiceError,
    Unavailable,
)

CODES = {
    ErrorKind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorKind.REUSED: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorKind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorKind.PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorKind.CONFLICT: grpc.StatusCode.ABORTED,
    ErrorKind.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorKind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    ErrorKind.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    ErrorKind.INTERNAL: grpc.StatusCode.INTERNAL,
}
RETRY_AFTER_SECONDS = 1.0
# Where gRPC keeps a google.rpc.Status, by its own convention.
DETAILS_KEY = "grpc-status-details-bin"

Detail = TypeVar("Detail", bound=Message)


@dataclass(frozen=True, slots=True)
class Details:
    """The details of a status: at most one message of a type."""

    status: Status

    def find(self, kind: type[Detail]) -> Detail:
        """Return the detail of a type; an empty one when the status has none."""
        detail = kind()
        for packed in self.status.details:
            if packed.Unpack(detail):
                break
        return detail

    @property
    def retry_after_seconds(self) -> float:
        """The seconds that RetryInfo says to wait, 0 without it."""
        return self.find(RetryInfo).retry_delay.ToMilliseconds() / 1000


@dataclass(frozen=True, slots=True)
class ErrorTranslation:
    """A context's own errors on the wire; `domain` names the context in ErrorInfo.

    `encode` returns the ErrorInfo metadata and further details of one of its errors, `decode` the error of a reason,
    or None for a reason that is not its own.
    """

    domain: str
    encode: Callable[[ServiceError], tuple[Mapping[str, str], list[Message]]]
    decode: Callable[[str, Mapping[str, str], Details], ServiceError | None]

    def to_status(self, error: ServiceError) -> Status:
        """Return the status for any error a context answers with."""
        metadata, details = self._encode_shared(error) or self.encode(error)
        status = Status(code=CODES[error.kind].value[0], message=str(error))
        status.details.add().Pack(ErrorInfo(reason=error.reason, domain=self.domain, metadata=metadata))
        for detail in details:
            status.details.add().Pack(detail)
        return status

    def from_call(self, error: grpc.aio.AioRpcError) -> ServiceError:
        """Return the typed error behind a failed call; a status that is not ours is judged by its code."""
        details = Details(status_of(error))
        info = details.find(ErrorInfo)
        return (
            self._decode_shared(info, details)
            or self.decode(info.reason, info.metadata, details)
            or from_code(error.code())
        )

    def _encode_shared(self, error: ServiceError) -> tuple[Mapping[str, str], list[Message]] | None:
        match error:
            case InvalidField():
                violation = BadRequest.FieldViolation(
                    field=error.field, description=error.description, reason=error.reason
                )
                return {}, [BadRequest(field_violations=[violation])]
            case Overloaded() | Unavailable():
                retry = RetryInfo()
                retry.retry_delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
                return {}, [retry]
            case Internal():
                return {"error_id": error.error_id}, []
            case RequestIdReused() | IdempotencyInProgress() | DeadlineExceeded():
                return {}, []
        return None

    def _decode_shared(self, info: ErrorInfo, details: Details) -> ServiceError | None:
        if violations := details.find(BadRequest).field_violations:
            return InvalidField(violations[0].field, violations[0].reason, violations[0].description)
        match info.reason:
            case "OVERLOADED":
                return Overloaded(details.retry_after_seconds)
            case "DEPENDENCY_UNAVAILABLE":
                return Unavailable(details.retry_after_seconds)
            case "CIRCUIT_OPEN":
                return CircuitOpen(details.retry_after_seconds)
            case "INTERNAL":
                return Internal(info.metadata["error_id"])
        shared = {kind.reason: kind for kind in (RequestIdReused, IdempotencyInProgress, DeadlineExceeded)}
        return shared[info.reason]() if info.reason in shared else None


def status_of(error: grpc.aio.AioRpcError) -> Status:
    """Return the rich status in a failed call's trailing metadata; an empty one when there is none."""
    packed = (error.trailing_metadata() or {}).get(DETAILS_KEY)
    return Status.FromString(packed) if isinstance(packed, bytes) else Status()


def from_code(code: grpc.StatusCode) -> ServiceError:
    """Return what a status without our details means: it comes from gRPC itself, or from something in between.

    None of them says that the call was not begun. RESOURCE_EXHAUSTED is also a response that is too large to be read,
    of a call that was done. CANCELLED is a refusal by the limit of the server's gRPC; an attempt before may be at work.
    """
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded()
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.RESOURCE_EXHAUSTED | grpc.StatusCode.CANCELLED:
            return Unavailable(RETRY_AFTER_SECONDS)
    return Internal("")

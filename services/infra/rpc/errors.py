"""Mapping between typed errors and gRPC statuses with google.rpc details, in both directions."""

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
# Metadata key of a google.rpc.Status, by gRPC's convention.
DETAILS_KEY = "grpc-status-details-bin"

Detail = TypeVar("Detail", bound=Message)


@dataclass(frozen=True, slots=True)
class Details:
    """Details of a status: at most one message of each type."""

    status: Status

    def find(self, kind: type[Detail]) -> Detail:
        """Return the detail of a type, or an empty one."""
        detail = kind()
        for packed in self.status.details:
            if packed.Unpack(detail):
                break
        return detail

    @property
    def retry_after_seconds(self) -> float:
        """Seconds to wait according to RetryInfo, 0 without it."""
        return self.find(RetryInfo).retry_delay.ToMilliseconds() / 1000


@dataclass(frozen=True, slots=True)
class ErrorTranslation:
    """Translation of a context's errors.

    domain: name of the context in ErrorInfo
    encode: returns the ErrorInfo metadata and further details of one of the context's own errors
    decode: returns the error of a reason, or None if the reason is not the context's own
    """

    domain: str
    encode: Callable[[ServiceError], tuple[Mapping[str, str], list[Message]]]
    decode: Callable[[str, Mapping[str, str], Details], ServiceError | None]

    def to_status(self, error: ServiceError) -> Status:
        """Return the status of an error, the context's own or a shared one."""
        metadata, details = self._encode_shared(error) or self.encode(error)
        status = Status(code=CODES[error.kind].value[0], message=str(error))
        status.details.add().Pack(ErrorInfo(reason=error.reason, domain=self.domain, metadata=metadata))
        for detail in details:
            status.details.add().Pack(detail)
        return status

    def from_call(self, error: grpc.aio.AioRpcError) -> ServiceError:
        """Return the typed error of a failed call; a status without our details is mapped by its code."""
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
    """Return the google.rpc.Status in a failed call's trailing metadata, or an empty one."""
    packed = (error.trailing_metadata() or {}).get(DETAILS_KEY)
    return Status.FromString(packed) if isinstance(packed, bytes) else Status()


def from_code(code: grpc.StatusCode) -> ServiceError:
    """Return the error of a status without our details, which comes from gRPC itself or from a proxy.

    No such status proves that the call was not begun. RESOURCE_EXHAUSTED may also be a response that is too large to
    read, of a call that took effect. CANCELLED is a rejection by the limits of the server's gRPC; an earlier attempt
    may still run.
    """
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded()
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.RESOURCE_EXHAUSTED | grpc.StatusCode.CANCELLED:
            return Unavailable(RETRY_AFTER_SECONDS)
    return Internal("")

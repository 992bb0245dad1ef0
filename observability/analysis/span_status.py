"""Outcome of a span's operation: failed, timed out or cancelled, redirected, or a resend.

Read from OpenTelemetry's semantic conventions for RPC and HTTP, stable and older ones, or else from the span's status.
"""

import re

from observability.analysis.spans import Attribute, Span, SpanStatus, once_per_span

# Indexed by status number, which older spans carry.
_GRPC_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
# A retry would get the same answer.
_GRPC_FINAL = frozenset(
    {
        "OK",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "UNAUTHENTICATED",
    }
)
_GRPC_ABANDONED = frozenset({"CANCELLED", "DEADLINE_EXCEEDED"})
# Client errors that allow a retry: request timeout, too early, too many requests.
_HTTP_RETRYABLE = frozenset({408, 425, 429})
_HTTP_REDIRECTS = range(300, 400)
_HTTP_SERVER_ERRORS = 500
_ABANDONED = re.compile("cancel|deadline|time.?out", re.IGNORECASE)
# Counts of earlier attempts: HTTP's convention, stable and older; gRPC's own spans; the metadata of a gRPC client.
_RESENDS = frozenset(
    {
        "http.request.resend_count",
        "http.resend_count",
        "previous-rpc-attempts",
        "rpc.request.metadata.grpc-previous-rpc-attempts",
    }
)


@once_per_span
def failed(span: Span) -> bool:
    """Return whether a retry may succeed; a rejection such as NOT_FOUND is a valid answer, no failure."""
    if code := _grpc_code(span):
        return code not in _GRPC_FINAL
    if status := _http_status(span):
        return status >= _HTTP_SERVER_ERRORS or status in _HTTP_RETRYABLE
    return span.status is SpanStatus.ERROR


@once_per_span
def gave_up(span: Span) -> bool:
    """Return whether the operation timed out or was cancelled, and so ended before its own calls did."""
    if code := _grpc_code(span):
        return code in _GRPC_ABANDONED
    return span.status is SpanStatus.ERROR and bool(_ABANDONED.search(str(span.attributes.get("error.type", ""))))


def was_redirected(span: Span) -> bool:
    """Return whether the answer was an HTTP redirect, which is no failure."""
    return _http_status(span) in _HTTP_REDIRECTS


def is_resend(span: Span) -> bool:
    """Return whether the span records that this is not the first attempt."""
    attributes = span.attributes
    return not _RESENDS.isdisjoint(attributes) and any(_number(attributes.get(name)) > 0 for name in _RESENDS)


def _number(count: Attribute) -> int:
    """Return a count, given as a number or, in gRPC metadata, as a list of texts; 0 when it is neither."""
    match count:
        case int():
            return count
        case [str(text)] if text.isdecimal():
            return int(text)
    return 0


def _grpc_code(span: Span) -> str:
    """Return the name of the gRPC status, empty when there is none."""
    code = span.attributes.get("rpc.response.status_code", span.attributes.get("rpc.grpc.status_code"))
    if isinstance(code, int):
        return _GRPC_CODES[code] if 0 <= code < len(_GRPC_CODES) else ""
    if code is None:
        return ""
    name = str(code).upper()
    return name if name in _GRPC_CODES else ""


def _http_status(span: Span) -> int:
    """Return the HTTP status, 0 when there is none."""
    status = span.attributes.get("http.response.status_code", span.attributes.get("http.status_code"))
    return status if isinstance(status, int) else 0

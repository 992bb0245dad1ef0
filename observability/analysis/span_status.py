"""How did an operation end: with an answer, without one, or because its caller no longer waited?

By OpenTelemetry's semantic conventions for RPC and HTTP, of today and before they were stable, else by the status.
"""

import re

from observability.analysis.spans import Attribute, Span, SpanStatus

# By number, as older spans have them.
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
# Asked again, a server would say the same.
_GRPC_ANSWERS = frozenset(
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
_GRPC_GIVEN_UP = frozenset({"CANCELLED", "DEADLINE_EXCEEDED"})
# The client's errors for which it may ask again: took too long, too early, too often.
_HTTP_LATER = frozenset({408, 425, 429})
_HTTP_REDIRECTS = range(300, 400)
_HTTP_SERVER_ERRORS = 500
_GIVEN_UP = re.compile("cancel|deadline|time.?out", re.IGNORECASE)
# How many times it was sent before, by the conventions for HTTP of today and before, by gRPC's own spans, and by what a
# gRPC client adds to a call's metadata.
_RESENDS = (
    "http.request.resend_count",
    "http.resend_count",
    "previous-rpc-attempts",
    "rpc.request.metadata.grpc-previous-rpc-attempts",
)


def failed(span: Span) -> bool:
    """Say whether it may go better when it is tried again; an answer that says no is an answer."""
    if code := _grpc_code(span):
        return code not in _GRPC_ANSWERS
    if status := _http_status(span):
        return status >= _HTTP_SERVER_ERRORS or status in _HTTP_LATER
    return span.status is SpanStatus.ERROR


def gave_up(span: Span) -> bool:
    """Say whether it ended because its time was over or nobody wanted it any more, whatever it still waited for."""
    if code := _grpc_code(span):
        return code in _GRPC_GIVEN_UP
    return span.status is SpanStatus.ERROR and bool(_GIVEN_UP.search(str(span.attributes.get("error.type", ""))))


def was_redirected(span: Span) -> bool:
    """Say whether the answer was to ask elsewhere, which is no failure."""
    return _http_status(span) in _HTTP_REDIRECTS


def is_resend(span: Span) -> bool:
    """Say whether it says itself that it was sent before."""
    return any(_number(span.attributes.get(name)) > 0 for name in _RESENDS)


def _number(count: Attribute) -> int:
    """Give a count; metadata is a list of texts."""
    match count:
        case int():
            return count
        case [str(text)] if text.isdecimal():
            return int(text)
    return 0


def _grpc_code(span: Span) -> str:
    """Give the name of its gRPC status; nothing where it has none."""
    code = span.attributes.get("rpc.response.status_code", span.attributes.get("rpc.grpc.status_code"))
    if isinstance(code, int):
        return _GRPC_CODES[code] if 0 <= code < len(_GRPC_CODES) else ""
    name = str(code).upper()
    return name if name in _GRPC_CODES else ""


def _http_status(span: Span) -> int:
    """Give its HTTP status; 0 where it has none."""
    status = span.attributes.get("http.response.status_code", span.attributes.get("http.status_code"))
    return status if isinstance(status, int) else 0

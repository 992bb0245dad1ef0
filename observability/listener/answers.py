"""Responses to refused requests: problem+json (RFC 9457) that closes the connection."""

import json
from http import HTTPStatus

from observability.listener.limits import LimitExceeded

Headers = list[tuple[bytes, bytes]]

RETRY_AFTER_SECONDS = b"1"


def problem(refusal: LimitExceeded) -> tuple[Headers, bytes]:
    """Return the headers and the body of a refusal."""
    document = {
        "type": "about:blank",
        "title": refusal.status.phrase,
        "status": refusal.status,
        "detail": str(refusal),
        "reason": refusal.reason,
    }
    body = json.dumps(document).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    if refusal.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", RETRY_AFTER_SECONDS))
    return headers, body


def response(refusal: LimitExceeded, default_headers: Headers) -> bytes:
    """Return the complete response as bytes, for a request that never reached the application."""
    headers, body = problem(refusal)
    lines = [b"HTTP/1.1 %d %s" % (refusal.status, refusal.status.phrase.encode())]
    lines += [name + b": " + value for name, value in default_headers + headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body

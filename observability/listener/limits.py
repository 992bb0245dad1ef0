"""Limits of one HTTP listener, and the refusal of what exceeds them."""

import resource
from dataclasses import dataclass, replace
from http import HTTPStatus

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


@dataclass(frozen=True, slots=True)
class Limits:
    """How much clients may send, keep open and leave unread.

    connections: open connections, of all clients together.
    connections_per_address: open connections of one client address.
    head_bytes: bytes of a request's target and header fields.
    head_fields: header fields of a request.
    head_seconds: time for the whole head, from the opening of the connection or the last answer.
    body_bytes: bytes of a request's body.
    body_seconds: time for the whole body, from the end of the head.
    buffered_bytes: bytes of all bodies that are not whole yet.
    unread_seconds: time that answers may wait for their client to read them.
    """

    connections: int = 2_000
    connections_per_address: int = 1_000
    head_bytes: int = 32 * KIBIBYTE
    head_fields: int = 100
    head_seconds: float = 10.0
    body_bytes: int = 256 * KIBIBYTE
    body_seconds: float = 10.0
    buffered_bytes: int = 64 * MEBIBYTE
    unread_seconds: float = 10.0

    def within_descriptors(self) -> "Limits":
        """Return the limits with at most half of the file descriptors that the process may have."""
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if allowed == resource.RLIM_INFINITY:
            return self
        connections = min(self.connections, allowed // 2)
        per_address = min(self.connections_per_address, allowed // 4)
        return replace(self, connections=connections, connections_per_address=per_address)


class LimitExceeded(Exception):
    """A request, or a connection, that exceeds a limit or is not HTTP; the message is a sentence for its sender.

    `status` is the HTTP status, `reason` its name to program and to count by.
    """

    def __init__(self, status: HTTPStatus, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason

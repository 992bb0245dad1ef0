"""Limits of one HTTP listener, and the error for exceeding them."""

import resource
from dataclasses import dataclass, replace
from http import HTTPStatus

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on requests, connections and unread responses.

    connections: open connections, of all clients together.
    connections_per_address: open connections of one client address.
    head_bytes: bytes of a request's target and header fields.
    head_fields: header fields of a request.
    head_seconds: time for the whole head, from the opening of the connection or the last answer.
    body_bytes: bytes of a request's body.
    body_seconds: time for the whole body, from the end of the head.
    buffered_bytes: bytes of all incomplete bodies together.
    unread_seconds: time that a response may wait for the client to read it.
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
        """Return the limits lowered so that connections use at most half of the process's file descriptors."""
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if allowed == resource.RLIM_INFINITY:
            return self
        connections = min(self.connections, allowed // 2)
        per_address = min(self.connections_per_address, allowed // 4)
        return replace(self, connections=connections, connections_per_address=per_address)


class LimitExceeded(Exception):
    """A request or a connection exceeds a limit or is not HTTP; the message is a sentence for the client.

    `status` is the HTTP status; `reason` is a name for programs and metrics.
    """

    def __init__(self, status: HTTPStatus, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason

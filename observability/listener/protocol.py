"""uvicorn's HTTP/1.1 protocol with limits on request heads, bodies, connections and unread responses.

httptools has no limit on the size of heads and uvicorn none on their time; `docs/decisions/0020` says why this is a
subclass.
"""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from observability.listener.answers import response
from observability.listener.connections import Connections
from observability.listener.limits import LimitExceeded

# On the wire, a body in the smallest sensible chunks is this many times its size.
FRAMING_FACTOR = 2


def protocol_of(connections: Connections) -> type[asyncio.Protocol]:
    """Return the protocol factory of one listener, for uvicorn's setting `http`."""
    return cast("type[asyncio.Protocol]", partial(LimitedProtocol, connections=connections))


class LimitedProtocol(HttpToolsProtocol):
    """One connection; satisfies `connections.Connection`."""

    def __init__(self, *, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.address = ""
        self._connections_of_listener = connections
        self._limits = connections.limits
        # Of the request that is being read: bytes received, bytes of its head, and its Host headers.
        self._fed_bytes = 0
        self._head_bytes = 0
        self._hosts = 0
        self._reads_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Register the connection, which may close another one, or this one."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._connections_of_listener.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._connections_of_listener.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data; refuse a request that exceeds a limit or is not HTTP."""
        self._unset_keepalive_if_required()
        self._fed_bytes += len(data)
        try:
            self.parser.feed_data(data)
            self._check_size()
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # the upgrade is ignored, and the request answered
        except LimitExceeded as refusal:
            self.refuse(refusal)
        except httptools.HttpParserError as error:
            invalid = LimitExceeded(HTTPStatus.BAD_REQUEST, "BAD_REQUEST", "This is not an HTTP/1.1 request.")
            found = error.__context__  # the exception of a callback below
            self.refuse(found if isinstance(found, LimitExceeded) else invalid)

    def refuse(self, refusal: LimitExceeded) -> None:
        """Answer if HTTP allows it, and close."""
        if not self.transport.is_closing():
            self._connections_of_listener.on_refused(refusal.reason)
            if self._may_answer():
                self.transport.write(response(refusal, self.server_state.default_headers))
            self.transport.close()
        self._limit_closing()

    def abort(self) -> None:
        """Close at once, without sending what is buffered."""
        self.transport.abort()

    def _limit_closing(self) -> None:
        """Limit the time for the buffered response: asyncio's close waits for the client without a limit."""
        self._connections_of_listener.left_unread(self)

    def _may_answer(self) -> bool:
        if self.cycle is None:
            return True
        if self.cycle.response_complete:  # an idle connection is closed without a response
            return self._fed_bytes > 0
        return self.cycle.more_body and not self.cycle.response_started

    def _check_size(self) -> None:
        if self._reads_head:
            if self._fed_bytes > self._limits.head_bytes:
                raise self._head_too_large()
        elif self._fed_bytes > self._limits.head_bytes + FRAMING_FACTOR * self._limits.body_bytes:
            sentence = f"The request has more than {FRAMING_FACTOR} times the bytes of the largest body."
            raise LimitExceeded(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BODY_TOO_LARGE", sentence)

    def _head_too_large(self) -> LimitExceeded:
        sentence = (
            f"The head of a request has at most {self._limits.head_bytes} bytes"
            f" and {self._limits.head_fields} header fields."
        )
        return LimitExceeded(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "HEAD_TOO_LARGE", sentence)

    # Callbacks of the parser, in this order. feed_data raises an error of its own, whose context is their exception.

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._reads_head = True
        self._head_bytes = self._hosts = 0

    def on_url(self, url: bytes) -> None:
        """Count and store a part of the target."""
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count and store a header field; ignore trailers (RFC 9110, 6.5.1)."""
        if not self._reads_head:
            return
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        self._hosts += name.lower() == b"host"
        if self._head_bytes > self._limits.head_bytes or len(self.headers) > self._limits.head_fields:
            raise self._head_too_large()

    def on_headers_complete(self) -> None:
        """Start the request; refuse it without exactly one Host header (RFC 9112, 3.2)."""
        if self._hosts > 1 or (not self._hosts and self.parser.get_http_version() == "1.1"):
            raise LimitExceeded(HTTPStatus.BAD_REQUEST, "INVALID_HOST", "A request has exactly one Host header.")
        if self.flow.write_paused:
            raise LimitExceeded(
                HTTPStatus.BAD_REQUEST, "ANSWER_UNREAD", "Read the responses before you send more requests."
            )
        self._reads_head = False
        self._connections_of_listener.head_received(self)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Record that the request is complete."""
        super().on_message_complete()
        self._fed_bytes = 0
        self._reads_head = True
        if self.cycle.response_complete:
            self._connections_of_listener.answered(self)
        else:
            self._connections_of_listener.request_received(self)

    # Callbacks of uvicorn and of the transport.

    def on_response_complete(self) -> None:
        """Wait for the next request, or limit the time of a connection that is closing."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._limit_closing()
        elif self.cycle.response_complete:
            self._connections_of_listener.answered(self)

    def pause_writing(self) -> None:
        """Record that the client does not read its responses."""
        super().pause_writing()
        self._connections_of_listener.left_unread(self)

    def resume_writing(self) -> None:
        """Record that the client reads again; the time limit of a closing connection stays."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._connections_of_listener.read(self)

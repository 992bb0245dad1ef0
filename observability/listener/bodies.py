"""Reading of request bodies within limits, before the application sees the request."""

import asyncio
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from observability.listener.answers import problem
from observability.listener.connections import Connections
from observability.listener.limits import LimitExceeded, Limits


class Disconnected(Exception):
    """The client disconnected before its body was complete."""


class Bodies:
    """Reads the bodies of one listener, with a limit on the bytes of all incomplete ones."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffered_bytes = 0

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """Return the complete body. Raises Refused (408, 413, 503) and Disconnected."""
        if int(header(scope, b"content-length") or 0) > self._limits.body_bytes:
            raise self._too_large()
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while await self._read_part(receive, body):
                    pass
        except TimeoutError as error:
            sentence = f"The body did not arrive within {self._limits.body_seconds:g} s."
            raise LimitExceeded(HTTPStatus.REQUEST_TIMEOUT, "BODY_TOO_SLOW", sentence) from error
        finally:
            self._buffered_bytes -= len(body)
        return bytes(body)

    async def _read_part(self, receive: Receive, body: bytearray) -> bool:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        body += part
        self._buffered_bytes += len(part)
        if len(body) > self._limits.body_bytes:
            raise self._too_large()
        if self._buffered_bytes > self._limits.buffered_bytes:
            sentence = "Too many request bodies are in transfer; retry later."
            raise LimitExceeded(HTTPStatus.SERVICE_UNAVAILABLE, "TOO_MANY_BODIES", sentence)
        return bool(message.get("more_body", False))

    def _too_large(self) -> LimitExceeded:
        sentence = f"The body is larger than {self._limits.body_bytes:,} bytes."
        return LimitExceeded(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BODY_TOO_LARGE", sentence)


class WholeRequests:
    """Passes requests with complete bodies to the application, and answers those that exceed a limit."""

    def __init__(self, application: ASGIApp, *, connections: Connections) -> None:
        self._application = application
        self._bodies = Bodies(connections.limits)
        self._on_refused = connections.on_refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, if there is one, and call the application."""
        if not has_body(scope):
            await self._application(scope, receive, send)
            return
        try:
            body = await self._bodies.read(scope, receive)
        except Disconnected:
            return
        except LimitExceeded as refusal:
            self._on_refused(refusal.reason)
            headers, content = problem(refusal)
            await send({"type": "http.response.start", "status": refusal.status.value, "headers": headers})
            await send({"type": "http.response.body", "body": content})
            return
        unread = [body]

        async def receive_whole() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            return await receive()  # the disconnect of the client

        await self._application(scope, receive_whole, send)


def has_body(scope: Scope) -> bool:
    """Return whether a request has a body (RFC 9112, 6.3)."""
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope.get("headers", ()))


def header(scope: Scope, name: bytes) -> bytes:
    """Return the value of the first header field with this name; empty without one."""
    return next((value for each, value in scope["headers"] if each == name), b"")

"""ASGI middleware that sets the deadline of each request; the calls that it makes inherit it."""

from observability.telemetry.http import Application, Receive, Scope, Send
from services.infra import deadline


class RequestDeadline:
    """Sets the deadline of each request, in seconds from its arrival."""

    def __init__(self, application: Application, *, seconds: float) -> None:
        self._application = application
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within the deadline."""
        with deadline.within(self._seconds):
            await self._application(scope, receive, send)

"""Time limit of a request, which whatever it calls inherits; the listener limits what it may send."""

from observability.telemetry.http import Application, Receive, Scope, Send
from services.infra import deadline


class RequestDeadline:
    """Gives each request the time it may take; whatever it calls gets what is left."""

    def __init__(self, application: Application, *, seconds: float) -> None:
        self._application = application
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within the deadline."""
        with deadline.within(self._seconds):
            await self._application(scope, receive, send)

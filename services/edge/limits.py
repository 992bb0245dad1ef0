"""How much may a request take? A time, which whatever it calls inherits, and a size."""

from starlette.exceptions import HTTPException

from observability.telemetry.http import Application, Message, Receive, Scope, Send
from services.infra import deadline

# An order of 1,500 lines with the longest SKUs takes 144 KiB.
MAX_BODY_BYTES = 256 * 1024


class RequestDeadline:
    """Gives each request the time it may take; whatever it calls gets what is left."""

    def __init__(self, application: Application, *, seconds: float) -> None:
        self._application = application
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within the deadline."""
        with deadline.within(self._seconds):
            await self._application(scope, receive, send)


class BodyTooLarge(HTTPException):
    """The body has more than MAX_BODY_BYTES; what is left of it is not worth a connection."""

    def __init__(self) -> None:
        super().__init__(status_code=413, headers={"Connection": "close"})


class BodyLimit:
    """Stops reading a body that grows over the limit, whatever length it claims to have."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; reading its body raises BodyTooLarge when it is."""
        size_bytes = 0

        async def receive_within_limit() -> Message:
            nonlocal size_bytes
            message = await receive()
            size_bytes += len(message.get("body", b""))
            if size_bytes > MAX_BODY_BYTES:
                raise BodyTooLarge
            return message

        await self._application(scope, receive_within_limit, send)

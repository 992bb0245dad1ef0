"""How much may a request take? A time, which whatever it calls inherits, and a size."""

import asyncio

from starlette.exceptions import HTTPException

from observability.telemetry.http import Application, Message, Receive, Scope, Send
from services.infra import deadline

# An order of 1,500 lines with the longest SKUs takes 144 KiB.
MAX_BODY_BYTES = 256 * 1024
# What is left of a body that is not read to its end is not worth a connection.
CLOSE = {"Connection": "close"}


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
    """The body has more than MAX_BODY_BYTES."""

    def __init__(self) -> None:
        super().__init__(status_code=413, headers=CLOSE)


class BodyTooSlow(HTTPException):
    """The body did not arrive within the request's deadline."""

    def __init__(self) -> None:
        super().__init__(status_code=408, headers=CLOSE)


class BodyLimit:
    """Stops reading a body that grows over the limit, whatever length it claims to have, or does not come."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; reading its body raises BodyTooLarge or BodyTooSlow when it is."""
        size_bytes = 0

        async def receive_within_limits() -> Message:
            nonlocal size_bytes
            try:
                async with asyncio.timeout(deadline.remaining_seconds()):
                    message = await receive()
            except TimeoutError as error:
                raise BodyTooSlow from error
            size_bytes += len(message.get("body", b""))
            if size_bytes > MAX_BODY_BYTES:
                raise BodyTooLarge
            return message

        await self._application(scope, receive_within_limits, send)

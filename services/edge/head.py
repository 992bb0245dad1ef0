"""HEAD wherever GET is (RFC 9110, 9.3.2): the same answer, of which the listener leaves the body out."""

from observability.telemetry.http import Application, Receive, Scope, Send


def as_get(scope: Scope) -> Scope:
    """Return a copy of the scope of a HEAD request that asks by GET, and any other scope as it is."""
    return {**scope, "method": "GET"} if scope["type"] == "http" and scope["method"] == "HEAD" else scope


class HeadAsGet:
    """Passes HEAD on as GET; what measures stands outside, and sees the method as it was."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note its route for what measures."""
        asked = as_get(scope)
        try:
            await self._application(asked, receive, send)
        finally:
            scope["route"] = asked.get("route")

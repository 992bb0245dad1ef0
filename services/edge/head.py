"""ASGI middleware that answers HEAD like GET (RFC 9110, 9.3.2); the listener leaves the body out."""

from observability.telemetry.http import Application, Receive, Scope, Send


def as_get(scope: Scope) -> Scope:
    """Return the scope of a HEAD request with the method GET, and any other scope unchanged."""
    return {**scope, "method": "GET"} if scope["type"] == "http" and scope["method"] == "HEAD" else scope


class HeadAsGet:
    """Passes HEAD on as GET. Telemetry runs outside of it and sees the original method."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and copy its route to the original scope, for telemetry."""
        get_scope = as_get(scope)
        try:
            await self._application(get_scope, receive, send)
        finally:
            scope["route"] = get_scope.get("route")

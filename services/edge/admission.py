"""ASGI middleware that rejects requests under overload before any work is spent on them.

It runs outside of tracing and routing, which take several times as long as the rejection.
"""

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.routing import Match

from observability.telemetry.http import Application, Receive, Scope, Send, method_of
from observability.telemetry.telemetry import Telemetry
from services.edge.head import as_get
from services.edge.problems import from_service
from services.edge.routes import router
from services.infra.admission import AdmissionController, DeadlineTooShort, Priority
from services.kernel.errors import Overloaded, ServiceError

PRIORITIES = {
    "place_order": Priority.BEGIN,
    "cancel_order": Priority.END,
    "get_order": Priority.READ,
    "list_orders": Priority.LIST,
    "get_stock_hints": Priority.LIST,
}


class AdmissionMiddleware:
    """Rejects requests with 503 OVERLOADED and Retry-After, and records each rejection as an error."""

    def __init__(
        self,
        application: Application,
        *,
        admission: AdmissionController,
        telemetry: Telemetry,
        request_deadline_seconds: float,
    ) -> None:
        self._application = application
        self._admission = admission
        self._telemetry = telemetry
        self._request_deadline_seconds = request_deadline_seconds
        self._routes = [route for route in router.routes if isinstance(route, APIRoute)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on if it is admitted, and reject it otherwise."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        route = self._route(scope)
        name = route.name if route else ""
        priority = PRIORITIES.get(name, Priority.LIST)
        try:
            slot = self._admission.admit(name, priority, stage="http", remaining_seconds=self._request_deadline_seconds)
        except (Overloaded, DeadlineTooShort) as error:
            await self._reject(error, route.path if route else "", scope, receive, send)
            return
        with slot:
            await self._application(scope, receive, send)

    def _route(self, scope: Scope) -> APIRoute | None:
        request_scope = as_get(scope)
        return next((route for route in self._routes if route.matches(request_scope)[0] is Match.FULL), None)

    async def _reject(self, error: ServiceError, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        response = from_service(Request(scope), error)
        labels = (self._telemetry.context, method_of(scope), path, str(response.status_code))
        self._telemetry.metrics.http_server_request_duration.observe(0.0, *labels)
        await response(scope, receive, send)

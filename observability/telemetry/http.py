"""Telemetry of HTTP requests: metrics with exemplars, and links to the traces of outside callers."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import perf_counter
from typing import Any

from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import Span

from observability.telemetry.links import link_to_caller
from observability.telemetry.telemetry import Telemetry

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
# Recorded when the client disconnects before the response begins.
NO_STATUS = "499"
# Key of the scope that holds the link to the caller's span.
CALLER_LINK = "plumbline.caller_link"


def without_callers_trace(scope: Scope) -> Scope:
    """Return a request's scope without the trace context, trace state and baggage of its caller.

    The request then starts a new trace, with our own sampling, which `link_caller` links to the caller's.
    """
    if scope["type"] != "http":
        return scope
    names = {name.lower().encode() for name in (*get_global_textmap().fields, "traceparent", "tracestate", "baggage")}
    sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name in names}
    if not sent:
        return scope
    headers = [(name, value) for name, value in scope["headers"] if name not in names]
    return {**scope, "headers": headers, CALLER_LINK: link_to_caller(sent)}


def link_caller(span: Span, scope: Scope) -> None:
    """Link a request's span to its caller's span; called by the tracing middleware."""
    if link := scope.get(CALLER_LINK):
        span.add_link(link.context)


def method_of(scope: Scope) -> str:
    """Return the request's method; _OTHER for an unknown one, as the semantic conventions say."""
    method: str = scope["method"]
    return method if method in KNOWN_METHODS else "_OTHER"


class HttpMetrics:
    """Measures each request of the wrapped application; must be inside the tracing middleware, for the exemplars."""

    def __init__(self, application: Application, *, telemetry: Telemetry) -> None:
        self._application = application
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; record its route, status and duration."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        metrics, context = self._telemetry.metrics, self._telemetry.context
        started, status = perf_counter(), NO_STATUS

        async def observe_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        metrics.http_server_active_requests.add(1, context)
        try:
            await self._application(scope, receive, observe_status)
        except Exception:
            if status == NO_STATUS:  # the outer middleware answers it with 500
                status = "500"
            raise
        finally:
            metrics.http_server_active_requests.add(-1, context)
            # Starlette puts the matched route in the scope. Without one the route is empty: a path would be unbounded.
            route = getattr(scope.get("route"), "path", "")
            seconds = perf_counter() - started
            metrics.http_server_request_duration.observe(seconds, context, method_of(scope), route, status)


def begin_at_zero(telemetry: Telemetry, answers: Iterable[tuple[str, str, int]]) -> None:
    """Start the series of these answers (method, route, status) at 0: a series that starts at 1 has no rate."""
    for method, route, status in answers:
        telemetry.metrics.http_server_request_duration.child(telemetry.context, method, route, str(status))

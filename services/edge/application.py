"""Assembly of the edge: FastAPI with error mapping, limits and telemetry around the five routes."""

from fastapi import FastAPI
from fastapi.routing import APIRoute
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.trace import TracerProvider
from starlette.types import Receive, Scope, Send

from observability.telemetry.http import HttpMetrics, begin_at_zero, link_caller, without_callers_trace
from observability.telemetry.telemetry import Telemetry
from services.edge import docs_page, openapi, problems
from services.edge.caller import HeaderCaller
from services.edge.head import HeadAsGet
from services.edge.limits import RequestDeadline
from services.edge.routes import router
from services.inventory.api import InventoryService
from services.order import api

DESCRIPTION = "Place, read and cancel orders. Every error is problem+json: program against its `reason`."


def make_edge(
    *,
    orders: api.OrderService,
    inventory: InventoryService,
    telemetry: Telemetry,
    tracer_provider: TracerProvider,
    request_deadline_seconds: float,
    continues_traces: bool = False,
) -> FastAPI:
    """Return the ASGI application in front of an order service and of inventory's stock hints.

    Each request begins a trace of its own, linked to its caller's; `continues_traces` continues the caller's instead.
    """
    application = (FastAPI if continues_traces else UntrustedCallersApi)(
        title="Plumbline shop",
        version="1",
        description=DESCRIPTION,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    application.state.orders = orders
    application.state.inventory = inventory
    application.state.caller = HeaderCaller()
    application.include_router(router)
    problems.install(application, telemetry)
    openapi.complete(application)
    docs_page.install(application)
    application.add_middleware(HeadAsGet)
    application.add_middleware(RequestDeadline, seconds=request_deadline_seconds)
    application.add_middleware(HttpMetrics, telemetry=telemetry)
    begin_at_zero(telemetry, server_answers())
    FastAPIInstrumentor.instrument_app(
        application,
        server_request_hook=link_caller,
        tracer_provider=tracer_provider,
        exclude_spans=["receive", "send"],
    )
    return application


class UntrustedCallersApi(FastAPI):
    """An application that does not continue its callers' traces.

    It removes the trace context from the request before the tracing middleware would read it.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await super().__call__(without_callers_trace(scope), receive, send)


def server_answers() -> list[tuple[str, str, int]]:
    """Return method, route and status of every answer but client errors, so that their series begin at zero."""
    return [
        (method, route.path, status)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
        for status in {route.status_code or 200, *map(int, route.responses)}
        if not 400 <= status < 500  # caused by the customer
    ]

"""How is the edge put together? FastAPI with our errors, our deadline and telemetry around the four routes."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.trace import TracerProvider

from observability.telemetry.http import Application, HttpMetrics, Receive, Scope, Send
from observability.telemetry.telemetry import Telemetry
from services.edge import problems
from services.edge.caller import HeaderCaller
from services.edge.routes import router
from services.edge.schemas import Problem
from services.infra import deadline
from services.order import api

DESCRIPTION = "Place, read and cancel orders. Every error is problem+json; program against its `reason`."


class RequestDeadline:
    """Gives each request the time it may take; whatever it calls gets what is left."""

    def __init__(self, application: Application, *, seconds: float) -> None:
        self._application = application
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within the deadline."""
        with deadline.within(self._seconds):
            await self._application(scope, receive, send)


def make_edge(
    *,
    orders: api.OrderService,
    telemetry: Telemetry,
    tracer_provider: TracerProvider,
    request_deadline_seconds: float,
) -> FastAPI:
    """Return the ASGI application in front of an order service."""
    application = FastAPI(
        title="Plumbline shop", version="1", description=DESCRIPTION, redirect_slashes=False, redoc_url=None
    )
    application.state.orders = orders
    application.state.caller = HeaderCaller()
    application.include_router(router)
    problems.install(application, telemetry)
    document_problems(application)
    application.add_middleware(RequestDeadline, seconds=request_deadline_seconds)
    application.add_middleware(HttpMetrics, telemetry=telemetry)
    FastAPIInstrumentor.instrument_app(application, tracer_provider=tracer_provider, exclude_spans=["receive", "send"])
    return application


def document_problems(application: FastAPI) -> None:
    """Put Problem in the OpenAPI document, and take out FastAPI's own validation error, which is never sent."""
    generate: Callable[[], dict[str, Any]] = application.openapi

    def with_problems() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schemas["Problem"].pop("$defs", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return document

    application.openapi = with_problems  # type: ignore[method-assign]  # FastAPI documents this way to extend it

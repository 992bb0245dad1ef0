"""How is the edge put together? FastAPI with our errors, our limits and telemetry around the four routes."""

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.trace import TracerProvider

from observability.telemetry.http import HttpMetrics
from observability.telemetry.telemetry import Telemetry
from services.edge import openapi, problems
from services.edge.caller import HeaderCaller
from services.edge.limits import BodyLimit, RequestDeadline
from services.edge.routes import router
from services.order import api

DESCRIPTION = "Place, read and cancel orders. Every error is problem+json; program against its `reason`."


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
    openapi.complete(application)
    application.add_middleware(BodyLimit)
    application.add_middleware(RequestDeadline, seconds=request_deadline_seconds)
    application.add_middleware(HttpMetrics, telemetry=telemetry)
    FastAPIInstrumentor.instrument_app(application, tracer_provider=tracer_provider, exclude_spans=["receive", "send"])
    return application

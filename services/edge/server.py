"""HTTP server of the edge, with admission control."""

from observability.listener.limits import Limits
from observability.telemetry.http import Application
from observability.telemetry.setup import Runtime
from services.edge.admission import AdmissionMiddleware
from services.edge.application import make_edge
from services.infra.address import Address
from services.infra.admission import AdmissionController
from services.infra.http_server import EDGE, HttpServer
from services.inventory.api import InventoryService
from services.order.api import OrderService


def edge_server(
    *,
    orders: OrderService,
    inventory: InventoryService,
    admission: AdmissionController | None,
    runtime: Runtime,
    listen: Address,
    request_deadline_seconds: float,
    limits: Limits = EDGE,
    continues_traces: bool = False,
) -> HttpServer:
    """Return the server `http` of the edge (see make_edge); without `admission` it admits every request."""
    telemetry = runtime.for_context("edge")
    edge: Application = make_edge(
        orders=orders,
        inventory=inventory,
        telemetry=telemetry,
        tracer_provider=runtime.provider,
        request_deadline_seconds=request_deadline_seconds,
        continues_traces=continues_traces,
    )
    if admission is not None:
        edge = AdmissionMiddleware(
            edge, admission=admission, telemetry=telemetry, request_deadline_seconds=request_deadline_seconds
        )
    return HttpServer(edge, name="http", listen=listen, metrics=runtime.metrics, limits=limits)

"""Telemetry as the libraries' own documentation sets it up: the SDK, its batch processor, the OTLP exporter."""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import GrpcAioInstrumentorClient, GrpcAioInstrumentorServer
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from sqlalchemy.ext.asyncio import AsyncEngine


def set_up(service_name: str) -> TracerProvider:
    """Install the tracer provider of this process, and instrument gRPC in both directions.

    The exporter reads its address from OTEL_EXPORTER_OTLP_ENDPOINT. The caller shuts the provider down at the end.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    GrpcAioInstrumentorClient().instrument()  # type: ignore[no-untyped-call]
    GrpcAioInstrumentorServer().instrument()  # type: ignore[no-untyped-call]
    return provider


def observe_engine(engine: AsyncEngine) -> None:
    """Instrument the statements of an engine, and the connections taken from its pool."""
    SQLAlchemyInstrumentor().instrument(engine=engine.sync_engine)

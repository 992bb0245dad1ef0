"""How does a span point to one that it does not wait for? By a link, made of the traceparent that was kept."""

from opentelemetry import trace
from opentelemetry.trace import Link
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

PROPAGATOR = TraceContextTextMapPropagator()


def link_to(traceparent: str) -> Link | None:
    """Return a link to the span of a traceparent; None when there is none."""
    context = trace.get_current_span(PROPAGATOR.extract({"traceparent": traceparent})).get_span_context()
    return Link(context) if context.is_valid else None

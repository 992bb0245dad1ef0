"""Span links: to the span that caused asynchronous work, or to the span of an outside caller."""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import Link, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

PROPAGATOR = TraceContextTextMapPropagator()


def link_to(traceparent: str) -> Link | None:
    """Return a link to the span of a traceparent; None when it names no span."""
    context = trace.get_current_span(PROPAGATOR.extract({"traceparent": traceparent})).get_span_context()
    return Link(context) if context.is_valid else None


def link_to_caller(headers: Mapping[str, str]) -> Link | None:
    """Return a link to the span in a caller's headers; None when they name no span.

    It holds only ids and flags, and nothing of the caller's trace state or baggage.
    """
    carrier = {name: value for name, value in headers.items() if name != "baggage"}
    context = trace.get_current_span(extract(carrier)).get_span_context()
    if not context.is_valid:
        return None
    return Link(SpanContext(context.trace_id, context.span_id, is_remote=True, trace_flags=context.trace_flags))

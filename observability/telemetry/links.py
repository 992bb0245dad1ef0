"""Links: how a span points to one that does not wait for it, or that belongs to a caller's own trace."""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import Link, SpanContext
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

PROPAGATOR = TraceContextTextMapPropagator()


def link_to(traceparent: str) -> Link | None:
    """Return a link to the span of a traceparent; None when there is none."""
    context = trace.get_current_span(PROPAGATOR.extract({"traceparent": traceparent})).get_span_context()
    return Link(context) if context.is_valid else None


def link_to_caller(headers: Mapping[str, str]) -> Link | None:
    """Return a link to the span that a caller's headers name; None when they name none.

    The ids and flags alone: what else a caller's trace state or baggage says stays outside.
    """
    carrier = {name: value for name, value in headers.items() if name != "baggage"}
    told = trace.get_current_span(extract(carrier)).get_span_context()
    if not told.is_valid:
        return None
    return Link(SpanContext(told.trace_id, told.span_id, is_remote=True, trace_flags=told.trace_flags))

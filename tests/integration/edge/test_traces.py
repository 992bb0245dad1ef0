"""Traces at a public endpoint: the caller's trace is linked and not continued; the answer names ours."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import TraceFlags

from observability.telemetry import setup
from observability.telemetry.http import without_callers_trace
from observability.telemetry.rpc import server_call
from tests.integration.edge.conftest import Edge

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
# What keeps a sampler that follows its parent from recording anything.
NOT_SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-00", "tracestate": "vendor=secret", "baggage": "mail=jane"}
METHOD = "shop.order.v1.OrderService/GetOrder"


@pytest.fixture
def spans(edge: Edge) -> Callable[[], tuple[ReadableSpan, ...]]:
    """Return the ended spans of the edge."""
    kept = InMemorySpanExporter()
    edge.runtime.add_span_processor(SimpleSpanProcessor(kept))
    return kept.get_finished_spans


def linked(span: ReadableSpan) -> list[tuple[str, str, str]]:
    """Return trace id, span id and trace state of each link."""
    contexts = [link.context for link in span.links]
    return [
        (trace.format_trace_id(each.trace_id), trace.format_span_id(each.span_id), each.trace_state.to_header())
        for each in contexts
    ]


async def test_an_unsampled_caller_gets_a_trace_linked_to_its_own(
    edge: Edge, spans: Callable[[], tuple[ReadableSpan, ...]]
) -> None:
    async with edge.session.get(f"/orders/{uuid4()}", headers=NOT_SAMPLED) as answer:
        _, trace_id, span_id, flags = answer.headers["traceresponse"].split("-")
    span = spans()[-1]
    assert (span.parent, linked(span)) == (None, [(TRACE, SPAN, "")])
    assert span.context is not None
    assert (trace_id, span_id) == (
        trace.format_trace_id(span.context.trace_id),
        trace.format_span_id(span.context.span_id),
    )
    assert trace_id != TRACE
    assert int(flags, 16) & TraceFlags.SAMPLED


async def test_a_request_without_a_trace_has_no_link(edge: Edge, spans: Callable[[], tuple[ReadableSpan, ...]]) -> None:
    async with edge.session.get(f"/orders/{uuid4()}"):
        pass
    assert (spans()[-1].parent, linked(spans()[-1])) == (None, [])


def test_the_context_of_a_caller_is_ignored() -> None:
    sent = [(name.encode(), value.encode()) for name, value in NOT_SAMPLED.items()]
    scope = without_callers_trace({"type": "http", "headers": [*sent, (b"host", b"shop")]})
    assert scope["headers"] == [(b"host", b"shop")]


@pytest.mark.parametrize("continues_trace", [True, False])
async def test_an_rpc_continues_a_trace_of_ours_and_links_to_a_callers(edge: Edge, *, continues_trace: bool) -> None:
    kept = InMemorySpanExporter()
    runtime: setup.Runtime = edge.runtime
    runtime.add_span_processor(SimpleSpanProcessor(kept))
    metadata = {**NOT_SAMPLED, "traceparent": f"00-{TRACE}-{SPAN}-01"}
    with server_call(runtime.for_context("order"), METHOD, metadata, continues_trace=continues_trace) as call:
        assert (call.traceresponse[3:35] == TRACE) is continues_trace
    (span,) = kept.get_finished_spans()
    assert (span.parent is not None) is continues_trace
    assert linked(span) == ([] if continues_trace else [(TRACE, SPAN, "")])

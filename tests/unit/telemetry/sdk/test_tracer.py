"""Blocks of spans: the current span, exceptions, decorators, and disabled or unsampled tracing."""

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, Tracer

from observability.telemetry.sdk.provider import RecordingTracerProvider
from observability.telemetry.sdk.stock import StockProcessor


@pytest.fixture
def kept() -> InMemorySpanExporter:
    """Return the exporter that keeps the spans."""
    return InMemorySpanExporter()


@pytest.fixture
def tracer(kept: InMemorySpanExporter) -> Tracer:
    """Return a tracer whose spans are kept."""
    provider = RecordingTracerProvider(resource=Resource({}))
    provider.add_span_processor(StockProcessor(SimpleSpanProcessor(kept)))
    return provider.get_tracer("test")


def test_a_span_is_the_current_one_in_its_block(tracer: Tracer, kept: InMemorySpanExporter) -> None:
    with tracer.start_as_current_span("outer") as outer:
        with tracer.start_as_current_span("inner") as inner:
            assert trace.get_current_span() is inner
        assert trace.get_current_span() is outer
    assert trace.get_current_span() is trace.INVALID_SPAN
    first, second = kept.get_finished_spans()
    assert (first.name, first.parent) == ("inner", second.context)


def test_an_exception_is_an_event_and_the_status(tracer: Tracer, kept: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="wrong"), tracer.start_as_current_span("one"):
        raise ValueError("wrong")
    (span,) = kept.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError: wrong")
    assert [(event.name, (event.attributes or {})["exception.type"]) for event in span.events] == [
        ("exception", "ValueError")
    ]


def test_an_exception_may_be_left_out(tracer: Tracer, kept: InMemorySpanExporter) -> None:
    block = tracer.start_as_current_span("one", record_exception=False, set_status_on_exception=False)
    with pytest.raises(ValueError, match="wrong"), block:
        raise ValueError("wrong")
    (span,) = kept.get_finished_spans()
    assert (span.status.is_unset, span.events) == (True, ())


def test_a_cancellation_is_no_error(tracer: Tracer, kept: InMemorySpanExporter) -> None:
    with pytest.raises(asyncio.CancelledError), tracer.start_as_current_span("one"):
        raise asyncio.CancelledError
    (span,) = kept.get_finished_spans()
    assert (span.status.is_unset, span.events) == (True, ())


def test_a_span_may_outlive_its_block(tracer: Tracer, kept: InMemorySpanExporter) -> None:
    with tracer.start_as_current_span("one", end_on_exit=False) as span:
        pass
    assert span.is_recording()
    assert not kept.get_finished_spans()


async def test_a_decorated_function_has_a_span_at_each_call(tracer: Tracer, kept: InMemorySpanExporter) -> None:
    @tracer.start_as_current_span("plain")
    def plain(number: int) -> int:
        return number + 1

    @tracer.start_as_current_span("waiting")
    async def waiting() -> bool:
        await asyncio.sleep(0)
        return trace.get_current_span().is_recording()

    assert (plain(1), plain(2), await waiting(), await waiting()) == (2, 3, True, True)
    assert [span.name for span in kept.get_finished_spans()] == ["plain", "plain", "waiting", "waiting"]


def test_a_span_itself_is_a_block(tracer: Tracer, kept: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="wrong"), tracer.start_span("one"):
        raise ValueError("wrong")
    (span,) = kept.get_finished_spans()
    assert (span.events[0].attributes or {})["exception.escaped"] == "True"


def test_an_unsampled_span_keeps_the_trace_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    tracer = RecordingTracerProvider(resource=Resource({})).get_tracer("test")
    with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("inner") as inner:
        assert not outer.is_recording()
        assert outer.get_span_context().trace_id == inner.get_span_context().trace_id


def test_a_disabled_sdk_makes_no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracer = RecordingTracerProvider(resource=Resource({})).get_tracer("test")
    with tracer.start_as_current_span("one") as span:
        assert not span.get_span_context().is_valid

"""Both SDKs export the same spans for the same calls: generated ones, decoded and compared without their order."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from observability.telemetry.sdk.otlp_encoder import encode_request
from observability.telemetry.sdk.provider import RecordingTracerProvider
from observability.telemetry.sdk.span import RecordingSpan
from observability.telemetry.sdk.stock import readable

RESOURCE = Resource({"service.name": "shop", "service.instance.id": "1", "host.cpu": 4}, "https://example.org/schema")
LIMITS = (
    "ATTRIBUTE_COUNT_LIMIT",
    "ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "SPAN_ATTRIBUTE_COUNT_LIMIT",
    "SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "SPAN_EVENT_COUNT_LIMIT",
    "SPAN_LINK_COUNT_LIMIT",
    "EVENT_ATTRIBUTE_COUNT_LIMIT",
    "LINK_ATTRIBUTE_COUNT_LIMIT",
)
SAMPLERS = ("always_on", "always_off", "traceidratio")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
keys = st.sampled_from(["", "http.route", "url.query", "größe", *"abcdef"])
scalars = st.one_of(
    texts,
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.floats(allow_nan=False),
    st.binary(max_size=5),
    st.none(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3), st.just(Resource)),
    max_leaves=5,
)
attributes = st.dictionaries(keys, values, max_size=6)
times = st.integers(0, 2**63)
contexts = st.builds(
    SpanContext,
    st.sampled_from([0, 1, 2**128 - 1]),
    st.sampled_from([0, 1, 2**64 - 1]),
    st.booleans(),
    st.sampled_from([TraceFlags(each) for each in range(4)]),
    st.sampled_from([TraceState(), TraceState([("vendor", "one"), ("other", "two")])]),
)
Change = Callable[[Span], None]
changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(lambda key, value: lambda span: span.set_attribute(key, value), keys, values),
    st.builds(lambda some: lambda span: span.set_attributes(some), attributes),
    st.builds(lambda name, some, time: lambda span: span.add_event(name, some, time), texts, attributes, times),
    st.builds(lambda context, some: lambda span: span.add_link(context, some), contexts, attributes),
    st.builds(lambda name: lambda span: span.update_name(name), texts),
    st.builds(
        lambda code, text: lambda span: span.set_status(Status(code, text if code is StatusCode.ERROR else None)),
        st.sampled_from(StatusCode),
        texts,
    ),
    st.builds(lambda text: lambda span: span.set_status(StatusCode.ERROR, text), texts),
    st.builds(
        lambda text, some, time: lambda span: span.record_exception(ValueError(text), some, time),
        texts,
        attributes,
        times,
    ),
)


@dataclass(frozen=True)
class Planned:
    """A span to make: of which tracer, below which earlier span or remote context, and what is done to it."""

    scope: str
    parent: SpanContext | int | None
    name: str
    kind: SpanKind
    attributes: Mapping[str, object]
    links: tuple[tuple[SpanContext, Mapping[str, object]], ...]
    start: int
    changes: tuple[Change, ...]
    end: int
    late: tuple[Change, ...]

    def make(self, tracer: Tracer, earlier: list[Span]) -> Span:
        """Make it."""
        parent = self.parent
        if isinstance(parent, int):
            parent = earlier[parent % len(earlier)].get_span_context() if earlier else None
        span = tracer.start_span(
            self.name,
            set_span_in_context(NonRecordingSpan(parent)) if parent else None,
            self.kind,
            self.attributes,  # type: ignore[arg-type]
            [Link(context, dict(some)) for context, some in self.links],  # type: ignore[arg-type]
            self.start,
        )
        for change in self.changes:
            change(span)
        span.end(self.end)
        for change in self.late:
            change(span)
        return span


plans = st.lists(
    st.builds(
        Planned,
        st.sampled_from(["plumbline", "fastapi"]),
        st.one_of(st.none(), contexts, st.integers(0, 5)),
        texts,
        st.sampled_from(SpanKind),
        attributes,
        st.lists(st.tuples(contexts, attributes), max_size=3).map(tuple),
        times,
        st.lists(changes, max_size=6).map(tuple),
        times,
        st.lists(changes, max_size=1).map(tuple),
    ),
    min_size=1,
    max_size=5,
)
limits = st.dictionaries(st.sampled_from(LIMITS), st.integers(0, 4), max_size=3)
samplers = st.one_of(
    st.sampled_from([f"{prefix}{name}" for prefix in ("", "parentbased_") for name in SAMPLERS]),
    st.just("parentbased_always_on"),
)


class SeededIds(IdGenerator):
    """Ids from a seed, drawn in the sequence in which our tracer draws them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64)

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128)

    def is_trace_id_random(self) -> bool:
        return True


def run(plan: Iterable[Planned], get_tracer: Callable[..., Tracer]) -> list[SpanContext]:
    """Make the spans; return their contexts, of unsampled ones too."""
    made: list[Span] = []
    for planned in plan:
        tracer = get_tracer(planned.scope, "1.0", "https://example.org/scope", {"library": planned.scope})
        made.append(planned.make(tracer, made))
    return [span.get_span_context() for span in made]


def by_stock(plan: Iterable[Planned], seed: int) -> tuple[list[SpanContext], bytes]:
    """Return the contexts, and what the stock SDK and its exporter make of the plan."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=RESOURCE, id_generator=SeededIds(seed), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return run(plan, provider.get_tracer), encode_spans(kept.get_finished_spans()).SerializeToString()


class Kept:
    """Keeps the spans that end."""

    def __init__(self) -> None:
        self.spans: list[RecordingSpan] = []

    def on_end(self, span: RecordingSpan, /) -> None:
        self.spans.append(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True

    def shutdown(self, timeout_millis: int = 30_000) -> bool:
        return True


def by_ours(plan: Iterable[Planned], seed: int) -> tuple[list[SpanContext], bytes, bytes]:
    """Return the contexts, and what our SDK makes of the plan: by its own encoder, and by the stock SDK's exporter."""
    kept = Kept()
    provider = RecordingTracerProvider(resource=RESOURCE, random_bits=random.Random(seed).getrandbits)
    provider.add_span_processor(kept)
    contexts = run(plan, provider.get_tracer)
    copies = [readable(span) for span in kept.spans]
    return contexts, encode_request(kept.spans), encode_spans(copies).SerializeToString()


def decoded(body: bytes) -> dict[tuple[str, ...], list[str]]:
    """Return the spans of a request by resource and scope, each as text, in any order; and without the order of keys.

    The stock exporter leaves the trace state of links out; ours does not, as OTLP says.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                inner = [*(event.attributes for event in span.events), *(link.attributes for link in span.links)]
                for pairs in (span.attributes, *inner):
                    pairs.sort(key=lambda pair: pair.key)
                for link in span.links:
                    link.ClearField("trace_state")
            source = (str(resource.resource), resource.schema_url, str(scope.scope), scope.schema_url)
            found.setdefault(source, []).extend(str(span) for span in scope.spans)
    return {source: sorted(spans) for source, spans in found.items()}


@given(plan=plans, limits=limits, sampler=samplers, ratio=st.sampled_from(["0", "0.3", "1"]), seed=st.integers(0, 99))
def test_both_sdks_export_the_same_spans(
    plan: list[Planned], limits: dict[str, int], sampler: str, ratio: str, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_TRACES_SAMPLER", sampler)
        patch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
        for name, limit in limits.items():
            patch.setenv(f"OTEL_{name}", str(limit))
        stock_contexts, stock = by_stock(plan, seed)
        our_contexts, ours, copied = by_ours(plan, seed)
    assert our_contexts == stock_contexts
    assert decoded(ours) == decoded(stock)
    assert decoded(copied) == decoded(stock)

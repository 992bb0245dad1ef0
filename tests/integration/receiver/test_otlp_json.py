"""Conversion of OTLP export requests to lines of OTLP/JSON without loss of data."""

import base64
import math
from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    EntityRef,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from observability.receiver.otlp_json import to_json_line
from tests.full import in_full

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
_counts = st.integers(0, 2**32 - 1)
_times = st.integers(0, 2**64 - 1)
_trace_ids = st.binary(min_size=16, max_size=16)
_span_ids = st.binary(min_size=8, max_size=8)
_flat_values = st.one_of(
    st.just(AnyValue()),
    st.builds(AnyValue, string_value=_texts),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    # One NaN: JSON has but one, and the bits that tell others apart mean nothing.
    st.builds(AnyValue, double_value=st.floats(allow_nan=False) | st.just(math.nan)),
    st.builds(AnyValue, bytes_value=st.binary(max_size=5)),
)


def _nested(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    pairs = st.builds(KeyValue, key=_texts, value=values)
    return st.one_of(
        st.builds(AnyValue, array_value=st.builds(ArrayValue, values=st.lists(values, max_size=2))),
        st.builds(AnyValue, kvlist_value=st.builds(KeyValueList, values=st.lists(pairs, max_size=2))),
    )


_values = st.recursive(_flat_values, _nested, max_leaves=4)
_attributes = st.lists(st.one_of(st.builds(KeyValue, key=_texts, value=_values), st.just(KeyValue())), max_size=2)
_events = st.builds(
    Span.Event, time_unix_nano=_times, name=_texts, attributes=_attributes, dropped_attributes_count=_counts
)
_links = st.builds(
    Span.Link, trace_id=_trace_ids, span_id=_span_ids, trace_state=_texts, attributes=_attributes, flags=_counts
)
_statuses = st.none() | st.builds(Status, message=_texts, code=st.sampled_from(Status.StatusCode.values()))
_spans = st.builds(
    Span,
    trace_id=_trace_ids,
    span_id=_span_ids,
    parent_span_id=st.just(b"") | _span_ids,
    trace_state=_texts,
    flags=_counts,
    name=_texts,
    kind=st.sampled_from(Span.SpanKind.values()),
    start_time_unix_nano=_times,
    end_time_unix_nano=_times,
    attributes=_attributes,
    dropped_attributes_count=_counts,
    events=st.lists(_events, max_size=2),
    dropped_events_count=_counts,
    links=st.lists(_links, max_size=2),
    dropped_links_count=_counts,
    status=_statuses,
)
_scopes = st.builds(InstrumentationScope, name=_texts, version=_texts, attributes=_attributes)
_scope_spans = st.builds(ScopeSpans, scope=st.none() | _scopes, spans=st.lists(_spans, max_size=2), schema_url=_texts)
_entities = st.builds(EntityRef, type=_texts, id_keys=st.lists(_texts, max_size=2), description_keys=st.lists(_texts))
_resources = st.builds(Resource, attributes=_attributes, entity_refs=st.lists(_entities, max_size=1))
_resource_spans = st.builds(
    ResourceSpans,
    resource=st.none() | _resources,
    scope_spans=st.lists(_scope_spans, max_size=2),
    schema_url=_texts,
)
_requests = st.builds(ExportTraceServiceRequest, resource_spans=st.lists(_resource_spans, max_size=2))


@pytest.mark.parametrize("examples", [30, *in_full(150)])
def test_any_request_can_be_read_back_from_its_line(examples: int) -> None:
    settings(deadline=None, max_examples=examples)(given(_requests)(_is_read_back))()


def _is_read_back(request: ExportTraceServiceRequest) -> None:
    document = _with_base64_ids(orjson.loads(to_json_line(request)))
    read_back = json_format.ParseDict(document, ExportTraceServiceRequest())
    assert read_back.SerializeToString(deterministic=True) == request.SerializeToString(deterministic=True)


def _with_base64_ids(value: object) -> Any:
    if isinstance(value, list):
        return [_with_base64_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(bytes.fromhex(each)).decode()
        if name in {"traceId", "spanId", "parentSpanId"}
        else _with_base64_ids(each)
        for name, each in value.items()
    }

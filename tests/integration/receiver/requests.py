"""Requests as an exporter sends them, for the receiver's tests."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span


def request_of(*names: str, padding: str = "") -> ExportTraceServiceRequest:
    """One resource with a span of each name, numbered; `padding` makes each span larger."""
    attributes = [KeyValue(key="padding", value=AnyValue(string_value=padding))] if padding else []
    spans = [
        Span(
            trace_id=bytes([1]) * 16,
            span_id=number.to_bytes(8, "big"),
            name=name,
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=1_700_000_000_000_000_000 + number,
            end_time_unix_nano=1_700_000_000_000_000_900 + number,
            attributes=attributes,
        )
        for number, name in enumerate(names, start=1)
    ]
    service = KeyValue(key="service.name", value=AnyValue(string_value="some-service"))
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=Resource(attributes=[service]), scope_spans=[ScopeSpans(spans=spans)])]
    )

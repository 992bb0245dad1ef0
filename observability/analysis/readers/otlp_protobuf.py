"""OTLP/protobuf: the spans of one ResourceSpans."""

import base64
from collections.abc import Iterator

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from observability.analysis.readers.fields import MALFORMED, Texts
from observability.analysis.readers.otlp_json import UNKNOWN_SERVICE
from observability.analysis.readers.unread import CUT_OFF_MESSAGE, MALFORMED_SPAN, UnreadCounter
from observability.analysis.spans import Attribute, Link, Span, SpanKind, SpanStatus

_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8


def spans_of_message(message: bytes, texts: Texts, unread: UnreadCounter) -> Iterator[Span]:
    """Yield the spans of a serialised ResourceSpans, and count those that are malformed."""
    try:
        resource = ResourceSpans.FromString(message)
    except DecodeError:
        unread.add(CUT_OFF_MESSAGE)
        return
    names = [each.value.string_value for each in resource.resource.attributes if each.key == "service.name"]
    service = texts.one(names[-1]) if names else UNKNOWN_SERVICE
    for scope in resource.scope_spans:
        for span in scope.spans:
            try:
                yield _span(span, service, texts)
            except MALFORMED:
                unread.add(MALFORMED_SPAN)


def is_resource_spans(message: bytes) -> bool:
    """Return whether bytes are a ResourceSpans; its spans have valid ids, as bytes of another kind would not."""
    try:
        resource = ResourceSpans.FromString(message)
    except DecodeError:
        return False
    spans = (span for scope in resource.scope_spans for span in scope.spans)
    return all(len(span.trace_id) == _TRACE_ID_BYTES for span in spans)


def _span(span: SpanMessage, service: str, texts: Texts) -> Span:
    if len(span.trace_id) != _TRACE_ID_BYTES or len(span.span_id) != _SPAN_ID_BYTES:
        raise ValueError("a span without a trace id or span id")
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=texts.one(span.name),
        kind=SpanKind(span.kind),
        service=service,
        start_nanoseconds=span.start_time_unix_nano,
        end_nanoseconds=span.end_time_unix_nano,
        attributes={texts.one(each.key): _value(each.value, texts) for each in span.attributes},
        status=SpanStatus(span.status.code),
        links=tuple(Link(each.trace_id.hex(), each.span_id.hex()) for each in span.links),
    )


def _value(value: AnyValue, texts: Texts) -> Attribute:
    """Return the Python value of an AnyValue; protobuf itself limits how deeply it is nested."""
    match value.WhichOneof("value"):
        case None:
            return None
        case "string_value":
            return texts.one(value.string_value)
        case "bytes_value":
            # As text, as in JSON.
            return base64.b64encode(value.bytes_value).decode()
        case "array_value":
            return [_value(each, texts) for each in value.array_value.values]
        case "kvlist_value":
            return {each.key: _value(each.value, texts) for each in value.kvlist_value.values}
        case kind:
            return getattr(value, kind)  # type: ignore[no-any-return]  # a number or a truth value

"""Encodes spans as an OTLP ExportTraceServiceRequest in protobuf.

Names and attributes repeat from span to span, so the bytes of short ones are kept. The tags are those of the fields in
OpenTelemetry's trace.proto, common.proto and resource.proto.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct

from opentelemetry.trace import Link, SpanContext, SpanKind, Status
from opentelemetry.util.types import AnyValue, Attributes

from observability.telemetry.sdk.span import RecordingSpan, SpanEvent, SpanSource

# Texts up to this length are kept encoded: the last ones used, so many of them.
SHORT, KEPT = 64, 4_096
SMALLEST_INTEGER, LARGEST_INTEGER = -(1 << 63), (1 << 63) - 1
FIXED32, FIXED64, DOUBLE = Struct("<I"), Struct("<Q"), Struct("<d")
TIMES = Struct("<cQcQ")
KINDS = {kind: b"\x30" + bytes((kind.value + 1,)) for kind in SpanKind}
# Flags of a context that a span or a link names: it comes from this process, or from another one.
LOCAL, REMOTE = FIXED32.pack(0x100), FIXED32.pack(0x300)
NO_STATUS = b"\x7a\x00"


def encode_request(spans: Iterable[RecordingSpan], *, allowed: Collection[str] | None = None) -> bytes:
    """Return the request for these spans, with those of their attributes whose keys are allowed; None: with all."""
    by_source: dict[SpanSource, list[bytes]] = {}
    for span in spans:
        by_source.setdefault(span.source, []).append(_field(b"\x12", encode_span(span, allowed)))
    by_resource: dict[int, list[SpanSource]] = {}
    for source in by_source:
        by_resource.setdefault(id(source.resource), []).append(source)
    return b"".join(_field(b"\x0a", _resource_spans(sources, by_source)) for sources in by_resource.values())


def encode_span(span: RecordingSpan, allowed: Collection[str] | None) -> bytes:
    """Return one span's message."""
    context, parent, attributes = span.context, span.parent, span.attributes
    # A copy made at once: another thread may still set an attribute that it began to set before the end.
    items = tuple(attributes.items())
    if allowed is not None:
        items = tuple([item for item in items if item[0] in allowed])
    parts = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16),
        b"\x12\x08",
        context.span_id.to_bytes(8),
        b"\x22\x08" + parent.span_id.to_bytes(8) if parent else b"",
        _text_field(b"\x2a", span.name),
        KINDS[span.kind],
        TIMES.pack(b"\x39", span.start_time, b"\x41", span.end_time),
        b"\x4a".join([b"", *[_key_value(key, value) for key, value in items]]),
        NO_STATUS if span.status.is_unset else _field(b"\x7a", _status(span.status)),
        b"\x85\x01",
        REMOTE if parent and parent.is_remote else LOCAL,
    ]
    if context.trace_state:
        parts.append(_text_field(b"\x1a", context.trace_state.to_header()))
    parts += [_field(b"\x5a", _event(event)) for event in span.events]
    parts += [_field(b"\x6a", _link(link)) for link in span.links]
    if span.dropped_attributes or span.dropped_events or span.dropped_links:
        parts += [
            _count(b"\x50", span.dropped_attributes),
            _count(b"\x60", span.dropped_events),
            _count(b"\x70", span.dropped_links),
        ]
    return b"".join(parts)


def _resource_spans(sources: Sequence[SpanSource], spans: Mapping[SpanSource, Sequence[bytes]]) -> bytes:
    resource = sources[0].resource
    scopes = [_field(b"\x12", _scope(source) + b"".join(spans[source])) for source in sources]
    schema = _text_field(b"\x1a", resource.schema_url or "")
    return b"".join([_field(b"\x0a", _attributes(b"\x0a", resource.attributes)), *scopes, schema])


def _scope(source: SpanSource) -> bytes:
    scope = source.scope
    name, version = _text_field(b"\x0a", scope.name), _text_field(b"\x12", scope.version or "")
    described = _field(b"\x0a", name + version + _attributes(b"\x1a", scope.attributes))
    return described + _text_field(b"\x1a", scope.schema_url or "")


def _event(event: SpanEvent) -> bytes:
    time = b"\x09" + FIXED64.pack(event.timestamp)
    attributes = _attributes(b"\x1a", event.attributes)
    return time + _text_field(b"\x12", event.name) + attributes + _count(b"\x20", event.attributes.dropped)


def _link(link: Link) -> bytes:
    context: SpanContext = link.context
    ids = b"\x0a\x10" + context.trace_id.to_bytes(16) + b"\x12\x08" + context.span_id.to_bytes(8)
    state = _text_field(b"\x1a", context.trace_state.to_header())
    attributes = _attributes(b"\x22", link.attributes) + _count(b"\x28", link.dropped_attributes)
    return ids + state + attributes + b"\x35" + (REMOTE if context.is_remote else LOCAL)


def _status(status: Status) -> bytes:
    return _text_field(b"\x12", status.description or "") + b"\x18" + bytes((status.status_code.value,))


def _attributes(tag: bytes, attributes: Attributes) -> bytes:
    return tag.join([b"", *[_key_value(key, value) for key, value in (attributes or {}).items()]])


def _key_value(key: str, value: AnyValue) -> bytes:
    """Return an attribute's message behind its length."""
    kind = type(value)
    if kind is int or kind is bool or (kind is str and len(value) <= SHORT):  # type: ignore[arg-type]
        return _kept_key_value(key, value)
    if kind is float:
        return _float_key(key) + DOUBLE.pack(value)
    return _with_length(_field(b"\x0a", key.encode("utf-8", "replace")) + _field(b"\x12", _value(value)))


@lru_cache(maxsize=KEPT, typed=True)
def _kept_key_value(key: str, value: str | int) -> bytes:
    return _with_length(_field(b"\x0a", key.encode("utf-8", "replace")) + _field(b"\x12", _value(value)))


@lru_cache(maxsize=KEPT)
def _float_key(key: str) -> bytes:
    """Return all of an attribute's message but the eight bytes of its number."""
    named = _field(b"\x0a", key.encode("utf-8", "replace")) + b"\x12\x09\x21"
    return varint(len(named) + 8) + named


def _value(value: AnyValue) -> bytes:
    """Return a value's message."""
    if isinstance(value, Mapping):
        return _field(b"\x32", _attributes(b"\x0a", value))
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return _field(b"\x2a", b"".join([_field(b"\x0a", _value(each)) for each in value]))
    return b"" if value is None else _scalar(value)


def _scalar(value: str | float | bytes) -> bytes:
    """Return a value's message. A number beyond 64 bits is a text, as the specification says."""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int) and SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        return b"\x18" + varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return b"\x21" + DOUBLE.pack(value)
    if isinstance(value, bytes):
        return _field(b"\x3a", value)
    return _field(b"\x0a", str(value).encode("utf-8", "replace"))


def _text_field(tag: bytes, text: str) -> bytes:
    """Return a field of a text; nothing for an empty one, which is the field's default."""
    if not text:
        return b""
    return _kept_text_field(tag, text) if len(text) <= SHORT else _field(tag, text.encode("utf-8", "replace"))


@lru_cache(maxsize=KEPT)
def _kept_text_field(tag: bytes, text: str) -> bytes:
    return _field(tag, text.encode("utf-8", "replace"))


def _count(tag: bytes, count: int) -> bytes:
    return tag + varint(count) if count else b""


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + varint(len(content)) + content


def _with_length(content: bytes) -> bytes:
    return varint(len(content)) + content


def varint(number: int) -> bytes:
    """Return a number of at least 0 in seven bits a byte, the lowest first."""
    if number < 0x80:
        return bytes((number,))
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)

"""OTLP/JSON: spans of one ResourceSpans, as the Collector, Jaeger v3 and Tempo write it, in old and new field names."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from observability.analysis.readers.fields import KINDS, MALFORMED, STATUSES, Json, Texts, span_id_of, trace_id_of
from observability.analysis.readers.unread import MALFORMED_SPAN, UnreadCounter
from observability.analysis.spans import Attribute, Link, Span, SpanKind, SpanStatus

# The keys of a request or trace that hold a list of ResourceSpans.
RESOURCE_KEYS = ("resourceSpans", "batches", "resource_spans")
_SNAKE_CASE_KEYS = ("scope_spans", "instrumentation_library_spans")
SCOPE_KEYS = ("scopeSpans", "instrumentationLibrarySpans", *_SNAKE_CASE_KEYS)
UNKNOWN_SERVICE = "unknown_service"
_DEEPEST_VALUE = 16


def spans_of_resource(resource: Any, texts: Texts, unread: UnreadCounter) -> Iterator[Span]:  # noqa: ANN401 - any JSON
    """Yield the spans of a ResourceSpans, and count those that are malformed."""
    try:
        if any(key in resource for key in _SNAKE_CASE_KEYS):
            resource = _in_camel_case(resource)
        service = _service(resource, texts)
        spans = _spans(resource)
    except MALFORMED:
        unread.add(MALFORMED_SPAN)
        return
    for span in spans:
        try:
            yield _span(span, service, texts)
        except MALFORMED:
            unread.add(MALFORMED_SPAN)


def _spans(resource: Json) -> list[Any]:
    scopes = next((found for key in SCOPE_KEYS if (found := resource.get(key))), ())
    return [span for scope in scopes for span in scope.get("spans") or ()]


def _service(resource: Json, texts: Texts) -> str:
    name = _attributes((resource.get("resource") or {}).get("attributes") or (), texts).get("service.name")
    return texts.one(name) if isinstance(name, str) else UNKNOWN_SERVICE


def _span(document: Json, service: str, texts: Texts) -> Span:
    get = document.get
    parent, status, links, kind = get("parentSpanId"), get("status"), get("links"), get("kind")
    return Span(
        trace_id=trace_id_of(document["traceId"]),
        span_id=span_id_of(document["spanId"]),
        parent_span_id=span_id_of(parent) if parent else "",
        name=texts.one(get("name") or ""),
        kind=KINDS[kind] if kind else SpanKind.UNSPECIFIED,
        service=service,
        start_nanoseconds=int(get("startTimeUnixNano") or 0),
        end_nanoseconds=int(get("endTimeUnixNano") or 0),
        attributes=_attributes(get("attributes") or (), texts),
        status=STATUSES[status.get("code") or 0] if status else SpanStatus.UNSET,
        links=tuple(map(_link, links)) if links else (),
    )


def _link(document: Json) -> Link:
    return Link(trace_id=trace_id_of(document["traceId"]), span_id=span_id_of(document["spanId"]))


def _attributes(entries: Iterable[Json], texts: Texts) -> dict[str, Attribute]:
    one = texts.one
    attributes: dict[str, Attribute] = {}
    for entry in entries:
        value = entry.get("value")
        # Most values are text.
        text = value.get("stringValue") if value else None
        key = one(entry["key"])
        attributes[key] = _value(value or {}, _DEEPEST_VALUE) if text is None else one(text)
    return attributes


def _value(document: Json, depth: int) -> Attribute:
    """Return the Python value of an AnyValue; bytes stay base64 text. Raises ValueError when nested too deeply."""
    if not depth:
        raise ValueError("an attribute is nested too deeply")
    for kind, value in document.items():
        match kind:
            case "stringValue" | "boolValue" | "bytesValue":
                return value  # type: ignore[no-any-return]  # JSON: whatever the sender wrote
            case "intValue":
                return int(value)
            case "doubleValue":
                return float(value)
            case "arrayValue":
                return [_value(each, depth - 1) for each in value.get("values", ())]
            case "kvlistValue":
                return {each["key"]: _value(each.get("value", {}), depth - 1) for each in value.get("values", ())}
    return None


def _in_camel_case(value: Any, depth: int = 2 * _DEEPEST_VALUE) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON whose keys are in camel case; names of attributes are values, which stay."""
    if not depth:
        return None
    if isinstance(value, dict):
        return {
            re.sub(r"_([a-z])", lambda found: found[1].upper(), key): _in_camel_case(each, depth - 1)
            for key, each in value.items()
        }
    return [_in_camel_case(each, depth - 1) for each in value] if isinstance(value, list) else value

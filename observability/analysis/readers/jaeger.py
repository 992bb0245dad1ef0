"""Jaeger's JSON: traces as its API v1 and its UI export write them, and lone spans as its storage has them."""

from collections.abc import Iterator
from typing import Any

from observability.analysis.readers.fields import MALFORMED, Json, Texts, span_id_of, trace_id_of
from observability.analysis.readers.otlp_json import UNKNOWN_SERVICE
from observability.analysis.readers.unread import MALFORMED_SPAN, UnreadCounter
from observability.analysis.spans import Attribute, Link, Span, SpanKind, SpanStatus

_NANOSECONDS = 1_000
_KINDS = {kind.name.lower(): kind for kind in SpanKind}
_STATUSES = {status.name: status for status in SpanStatus}
_TRUE = (True, "true", "True")


def spans_of_trace(trace: Json, texts: Texts, unread: UnreadCounter) -> Iterator[Span]:
    """Yield the spans of a trace, and count those that are malformed."""
    processes, spans = trace.get("processes"), trace.get("spans")
    for span in spans if isinstance(spans, list) else ():
        try:
            process = span.get("process") or (processes or {}).get(span.get("processID"))
        except MALFORMED:
            unread.add(MALFORMED_SPAN)
            continue
        yield from spans_of_span(span, process, texts, unread)


def spans_of_span(span: Json, process: Any, texts: Texts, unread: UnreadCounter) -> Iterator[Span]:  # noqa: ANN401
    """Yield a span, or count it if it is malformed."""
    try:
        yield _span(span, process or {}, texts)
    except MALFORMED:
        unread.add(MALFORMED_SPAN)


def _span(document: Json, process: Json, texts: Texts) -> Span:
    attributes = _attributes(document, texts)
    trace_id = trace_id_of(document["traceID"])
    start = round(document["startTime"] * _NANOSECONDS)
    parent, links, is_awaited = _references(document, trace_id)
    kind = _KINDS.get(str(attributes.pop("span.kind", "")).lower(), SpanKind.UNSPECIFIED)
    return Span(
        trace_id=trace_id,
        span_id=span_id_of(document["spanID"]),
        parent_span_id=parent,
        name=texts.one(document.get("operationName") or ""),
        kind=kind if is_awaited else SpanKind.CONSUMER,
        service=texts.one(process.get("serviceName") or UNKNOWN_SERVICE),
        start_nanoseconds=start,
        end_nanoseconds=start + round(document["duration"] * _NANOSECONDS),
        attributes=attributes,
        status=status_of(attributes),
        links=links,
    )


def status_of(attributes: dict[str, Attribute]) -> SpanStatus:
    """Return the status that the attributes of a format without one record, and remove these attributes."""
    code = attributes.pop("otel.status_code", "")
    if attributes.get("error") in _TRUE:
        del attributes["error"]
        return SpanStatus.ERROR
    return _STATUSES.get(str(code).upper(), SpanStatus.UNSET)


def _references(document: Json, trace_id: str) -> tuple[str, tuple[Link, ...], bool]:
    """Return the parent's span id, all other references as links, and whether the parent may wait for the span.

    The parent is the first CHILD_OF reference within the trace. Without one it is the first FOLLOWS_FROM within it,
    which is how OpenTracing names the cause of asynchronous work: such a cause does not wait.
    """
    found = [
        (each.get("refType"), Link(trace_id_of(each["traceID"]), span_id_of(each["spanID"])))
        for each in document.get("references") or ()
    ]
    within = [(kind, link) for kind, link in found if link.trace_id == trace_id]
    awaited = [link for kind, link in within if kind == "CHILD_OF"]
    if parents := awaited or [link for _, link in within]:
        return parents[0].span_id, tuple(link for _, link in found if link != parents[0]), bool(awaited)
    old = document.get("parentSpanID")
    return span_id_of(old) if old and old.strip("0") else "", tuple(link for _, link in found), True


def _attributes(document: Json, texts: Texts) -> dict[str, Attribute]:
    tags = {texts.one(tag["key"]): _value(tag, texts) for tag in document.get("tags") or ()}
    # Elasticsearch may hold some tags as one object.
    return {**document["tag"], **tags} if isinstance(document.get("tag"), dict) else tags


def _value(tag: Json, texts: Texts) -> Attribute:
    """Return the value of a tag; storage has every value as text, beside its type."""
    value = tag.get("value")
    match tag.get("type"):
        case "int64" | "long":
            return int(value)  # type: ignore[arg-type]  # JSON: whatever the sender wrote
        case "float64" | "double":
            return float(value)  # type: ignore[arg-type]
        case "bool":
            return value in _TRUE
    return texts.one(value) if isinstance(value, str) else value

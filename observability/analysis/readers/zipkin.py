"""Zipkin v2's JSON: lists of spans, whose tags are all text."""

import re
from collections.abc import Iterator

from observability.analysis.readers.fields import MALFORMED, Json, Texts, span_id_of, trace_id_of
from observability.analysis.readers.jaeger import status_of
from observability.analysis.readers.otlp_json import UNKNOWN_SERVICE
from observability.analysis.readers.unread import MALFORMED_SPAN, UnreadCounter
from observability.analysis.spans import Attribute, Span, SpanKind

_NANOSECONDS = 1_000
_KINDS = {kind.name: kind for kind in SpanKind}
# A number with leading zeros or more digits than a double holds is an id.
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,14})")
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,14})\.\d{1,20}(?:[eE][-+]?\d{1,3})?|-?\d(?:\.\d{1,20})?[eE][-+]?\d{1,2}")


def spans_of_span(document: Json, texts: Texts, unread: UnreadCounter) -> Iterator[Span]:
    """Yield a span, or count it if it is malformed. Raises nothing."""
    try:
        yield _span(document, texts)
    except MALFORMED:
        unread.add(MALFORMED_SPAN)


def _span(document: Json, texts: Texts) -> Span:
    tags = document.get("tags") or {}
    attributes = {texts.one(key): _value(value, texts) for key, value in tags.items()}
    # The presence of the tag is what marks an error; its value is a message.
    if tags.get("error") not in {None, "false"}:
        attributes["error"] = "true"
    start = round(document["timestamp"] * _NANOSECONDS)
    parent = document.get("parentId")
    return Span(
        trace_id=trace_id_of(document["traceId"]),
        span_id=span_id_of(document["id"]),
        parent_span_id=span_id_of(parent) if parent else "",
        name=texts.one(document.get("name") or ""),
        kind=_KINDS[document.get("kind") or "UNSPECIFIED"],
        service=texts.one((document.get("localEndpoint") or {}).get("serviceName") or UNKNOWN_SERVICE),
        start_nanoseconds=start,
        end_nanoseconds=start + round((document.get("duration") or 0) * _NANOSECONDS),
        attributes=attributes,
        status=status_of(attributes),
    )


def _value(text: str, texts: Texts) -> Attribute:
    """Return a tag's value: a number or truth value where the text is one, as in other formats."""
    if text in {"true", "false"}:
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else texts.one(text)

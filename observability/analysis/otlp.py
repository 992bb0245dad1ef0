"""Reader of spans from OTLP/JSON lines files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from observability.analysis.spans import Attribute, Link, Span, SpanKind, SpanStatus, without_duplicates

Json = dict[str, Any]

_UNKNOWN_SERVICE = "unknown_service"


@dataclass(frozen=True, slots=True)
class SpansRead:
    """The distinct spans of some files.

    lines: non-empty lines that were read.
    malformed_lines: lines that were skipped because they are no export request.
    duplicate_spans: spans that were dropped because their trace id and span id had been read before.
    """

    spans: tuple[Span, ...]
    lines: int
    malformed_lines: int
    duplicate_spans: int


class _MalformedLine(Exception):
    """A line that is not an export request with complete spans."""


def read_spans(paths: Iterable[Path]) -> SpansRead:
    """Read the spans of files with one ExportTraceServiceRequest in OTLP/JSON a line.

    A truncated or malformed line is skipped and counted. Raises OSError when a file cannot be read.
    """
    spans: list[Span] = []
    lines = malformed = 0
    for line in _lines(paths):
        lines += 1
        try:
            spans.extend(parse_line(line))
        except ValueError:
            malformed += 1
    unique = without_duplicates(spans)
    return SpansRead(unique.spans, lines, malformed, unique.duplicates)


def parse_line(line: bytes) -> list[Span]:
    """Return the spans of one line; raises ValueError when it is not an export request with complete spans."""
    try:
        document = orjson.loads(line)
        return [
            _span(span, service)
            for resource in document.get("resourceSpans", ())
            for service in [_service(resource)]
            for scope in resource.get("scopeSpans", ())
            for span in scope.get("spans", ())
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not an OTLP/JSON export request: {error}") from error


def _lines(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            yield from (line for line in file if line.strip())


def _service(resource: Json) -> str:
    name = _attributes(resource.get("resource", {})).get("service.name")
    return name if isinstance(name, str) else _UNKNOWN_SERVICE


def _span(document: Json, service: str) -> Span:
    return Span(
        trace_id=_id(document["traceId"], digits=32),
        span_id=_id(document["spanId"], digits=16),
        parent_span_id=document.get("parentSpanId", "").lower(),
        name=document.get("name", ""),
        kind=SpanKind(document.get("kind", 0)),
        service=service,
        start_nanoseconds=int(document.get("startTimeUnixNano", 0)),
        end_nanoseconds=int(document.get("endTimeUnixNano", 0)),
        attributes=_attributes(document),
        status=SpanStatus(document.get("status", {}).get("code", 0)),
        links=tuple(_link(each) for each in document.get("links", ())),
    )


def _link(document: Json) -> Link:
    return Link(trace_id=_id(document["traceId"], digits=32), span_id=_id(document["spanId"], digits=16))


def _id(text: str, *, digits: int) -> str:
    if len(text) != digits:
        raise ValueError(f"{text!r} is not an id of {digits} hex digits")
    return text.lower()


def _attributes(document: Json) -> dict[str, Attribute]:
    return {each["key"]: _value(each.get("value", {})) for each in document.get("attributes", ())}


def _value(document: Json) -> Attribute:
    """Return the Python value of an AnyValue; bytes stay base64 text."""
    for kind, value in document.items():
        match kind:
            case "stringValue" | "boolValue" | "bytesValue":
                return value  # type: ignore[no-any-return]  # JSON: whatever the sender wrote
            case "intValue":
                return int(value)
            case "doubleValue":
                return float(value)
            case "arrayValue":
                return [_value(each) for each in value.get("values", ())]
            case "kvlistValue":
                return {each["key"]: _value(each.get("value", {})) for each in value.get("values", ())}
    return None

"""JSON values of any trace format: recognises the format by content, and yields the spans."""

from collections.abc import Iterator
from typing import Any

from observability.analysis.readers import jaeger, otlp_json, zipkin
from observability.analysis.readers.fields import Texts
from observability.analysis.readers.unread import NOT_TRACES, UNKNOWN_FORMAT, UnreadCounter
from observability.analysis.spans import Span

# Where a document may keep what it is about: Jaeger v3, Tempo, Jaeger v1, Elasticsearch.
WRAPPERS = ("result", "trace", "data", "_source")
_OTHER_SIGNALS = ("resourceMetrics", "resourceLogs", "resourceProfiles")
_DEEPEST = 6


def spans_of_document(
    document: Any,  # noqa: ANN401 - any JSON
    texts: Texts,
    unread: UnreadCounter,
    depth: int = _DEEPEST,
) -> Iterator[Span]:
    """Yield the spans of a JSON value, and count what is malformed or unknown. Raises nothing on any JSON."""
    match document:
        case list() if depth:
            for each in document:
                yield from spans_of_document(each, texts, unread, depth - 1)
        case dict() if depth:
            yield from _spans_of_object(document, texts, unread, depth)
        case _:
            unread.add(UNKNOWN_FORMAT)


def is_known(document: Any, depth: int = _DEEPEST) -> bool:  # noqa: ANN401 - any JSON
    """Return whether a JSON value is in a format of telemetry, judged by its first element."""
    match document:
        case [first, *_]:
            return depth > 0 and is_known(first, depth - 1)
        case dict():
            return _is_known_object(document) or any(
                depth > 0 and is_known(document[key], depth - 1) for key in WRAPPERS if key in document
            )
    return False


def _is_known_object(document: dict[str, Any]) -> bool:
    keys = (*otlp_json.RESOURCE_KEYS, *otlp_json.SCOPE_KEYS, *_OTHER_SIGNALS)
    return any(isinstance(document.get(key), list) for key in keys) or (
        _is_jaeger_trace(document) or _is_jaeger_span(document) or _is_zipkin_span(document)
    )


def _spans_of_object(document: dict[str, Any], texts: Texts, unread: UnreadCounter, depth: int) -> Iterator[Span]:
    resources = next((document[key] for key in otlp_json.RESOURCE_KEYS if isinstance(document.get(key), list)), None)
    wrapped = next((document[key] for key in WRAPPERS if isinstance(document.get(key), dict | list)), None)
    if resources is not None:
        for resource in resources:
            yield from otlp_json.spans_of_resource(resource, texts, unread)
    elif any(key in document for key in otlp_json.SCOPE_KEYS):
        yield from otlp_json.spans_of_resource(document, texts, unread)
    elif _is_jaeger_trace(document):
        yield from jaeger.spans_of_trace(document, texts, unread)
    elif _is_jaeger_span(document):
        yield from jaeger.spans_of_span(document, document.get("process"), texts, unread)
    elif _is_zipkin_span(document):
        yield from zipkin.spans_of_span(document, texts, unread)
    elif any(key in document for key in _OTHER_SIGNALS):
        unread.add(NOT_TRACES)
    elif wrapped is not None:
        yield from spans_of_document(wrapped, texts, unread, depth - 1)
    else:
        unread.add(UNKNOWN_FORMAT)


def _is_jaeger_trace(document: dict[str, Any]) -> bool:
    return "spans" in document and ("traceID" in document or "processes" in document)


def _is_jaeger_span(document: dict[str, Any]) -> bool:
    return "traceID" in document and "spanID" in document


def _is_zipkin_span(document: dict[str, Any]) -> bool:
    return "traceId" in document and "id" in document

"""Conversion of export requests to standard OTLP/JSON lines, and back.

OTLP/JSON is protobuf's JSON with two differences: ids are hex, and enums are numbers.
"""

import base64
from collections.abc import Iterator
from typing import Any

import orjson
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_ID_FIELDS = frozenset({"traceId", "spanId", "parentSpanId"})


def to_json_line(request: ExportTraceServiceRequest) -> bytes:
    """Encode one request as one line of OTLP/JSON, newline included."""
    document = json_format.MessageToDict(request, use_integers_for_enums=True)
    for message in _messages_with_ids(document):
        for field in _ID_FIELDS & message.keys():
            message[field] = base64.b64decode(message[field]).hex()
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def from_json_line(line: bytes) -> ExportTraceServiceRequest:
    """Decode one line of OTLP/JSON. Raises ValueError for other text."""
    try:
        document = orjson.loads(line)
        for message in _messages_with_ids(document):
            for field in _ID_FIELDS & message.keys():
                message[field] = base64.b64encode(bytes.fromhex(message[field])).decode()
        return json_format.ParseDict(document, ExportTraceServiceRequest(), ignore_unknown_fields=True)
    except (AttributeError, TypeError, json_format.ParseError) as error:
        raise ValueError(f"not an OTLP/JSON export request: {error}") from error


def count_spans(request: ExportTraceServiceRequest) -> int:
    """Count the spans of a request."""
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def _messages_with_ids(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each span and each link."""
    for resource in document.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                yield span
                yield from span.get("links", ())

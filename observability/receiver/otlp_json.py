"""How does an OTLP request look as standard OTLP/JSON?

As protobuf's own JSON, with two differences that OTLP prescribes: ids are hex, enums are numbers.
"""

import base64
from typing import Any

import orjson
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_ID_FIELDS = ("traceId", "spanId", "parentSpanId")


def to_json_line(request: ExportTraceServiceRequest) -> bytes:
    """Encode one request as one line of OTLP/JSON, newline included."""
    document = json_format.MessageToDict(request, use_integers_for_enums=True)
    for resource in document.get("resourceSpans", ()):
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                _make_ids_hex(span)
                for link in span.get("links", ()):
                    _make_ids_hex(link)
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def count_spans(request: ExportTraceServiceRequest) -> int:
    """Count the spans of a request."""
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def _make_ids_hex(message: dict[str, Any]) -> None:
    for field in _ID_FIELDS:
        if field in message:
            message[field] = base64.b64decode(message[field]).hex()

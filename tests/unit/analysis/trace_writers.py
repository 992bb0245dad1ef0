"""Writers of one recorded run in the formats of other tools, made from their documentation and not from our readers."""

import base64
import copy
import json
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from backports import zstd
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Json = dict[str, Any]
KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
CODES = ("UNSET", "OK", "ERROR")


def traces_of(path: Path) -> list[list[Json]]:
    """Return the traces of OTLP/JSON lines, each as a list of ResourceSpans with one span."""
    by_trace: dict[str, list[Json]] = defaultdict(list)
    for line in path.read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
                alone = {"resource": resource["resource"], "scopeSpans": [{"spans": [span]}]}
                by_trace[span["traceId"]].append(alone)
    return list(by_trace.values())


def otlp_lines(traces: list[list[Json]]) -> bytes:
    return _lines({"resourceSpans": trace} for trace in traces)


def otlp_document(traces: list[list[Json]]) -> bytes:
    return _compact({"resourceSpans": [resource for trace in traces for resource in trace]})


def otlp_pretty(traces: list[list[Json]]) -> bytes:
    return json.dumps({"resourceSpans": [resource for trace in traces for resource in trace]}, indent=2).encode()


def otlp_array(traces: list[list[Json]]) -> bytes:
    return json.dumps([{"resourceSpans": trace} for trace in traces], indent=1).encode()


def otlp_old(traces: list[list[Json]]) -> bytes:
    """Old field names, ids in base64, names of enums, times as numbers."""
    return _lines({"resourceSpans": _old(trace)} for trace in traces)


def otlp_snake_case(traces: list[list[Json]]) -> bytes:
    """Fields as protobuf names them."""
    requests = (_message(trace) for trace in traces)
    return _lines(_snake_case(request) for request in requests)


def protobuf_raw(traces: list[list[Json]]) -> bytes:
    return b"".join(_message(trace).SerializeToString() for trace in traces)


def protobuf_delimited(traces: list[list[Json]]) -> bytes:
    messages = [_message(trace).SerializeToString() for trace in traces]
    return b"".join(_varint(len(message)) + message for message in messages)


def collector_proto(traces: list[list[Json]]) -> bytes:
    """Write like the Collector's file exporter with `format: proto`."""
    return _framed(_message(trace).SerializeToString() for trace in traces)


def collector_proto_zstd(traces: list[list[Json]]) -> bytes:
    """Write like the Collector's file exporter with `format: proto` and `compression: zstd`."""
    return _framed(zstd.compress(_message(trace).SerializeToString()) for trace in traces)


def collector_json_zstd(traces: list[list[Json]]) -> bytes:
    """Write like the Collector's file exporter with `compression: zstd`."""
    return _framed(zstd.compress(_compact({"resourceSpans": trace})) for trace in traces)


def jaeger_v1(traces: list[list[Json]]) -> bytes:
    """Jaeger's API v1, and its UI's export."""
    return _compact({"data": [_jaeger(trace) for trace in traces], "total": 0, "limit": 0, "errors": None})


def jaeger_v1_pretty(traces: list[list[Json]]) -> bytes:
    return json.dumps({"data": [_jaeger(trace) for trace in traces]}, indent=4).encode()


def jaeger_v3(traces: list[list[Json]]) -> bytes:
    return _lines({"result": {"resourceSpans": trace}} for trace in traces)


def jaeger_storage(traces: list[list[Json]]) -> bytes:
    """Write a dump of Jaeger's Elasticsearch: a span a line, with its process; values are text."""
    found = [_jaeger(trace) for trace in traces]
    return _lines(
        {"_source": {**_as_text(span), "process": trace["processes"][span["processID"]], "processID": ""}}
        for trace in found
        for span in trace["spans"]
    )


def zipkin(traces: list[list[Json]]) -> bytes:
    return _compact([_zipkin(resource) for trace in traces for resource in trace])


def zipkin_traces(traces: list[list[Json]]) -> bytes:
    """Write a list of traces, as /api/v2/traces answers."""
    return json.dumps([[_zipkin(resource) for resource in trace] for trace in traces], indent=1).encode()


def tempo_batches(traces: list[list[Json]]) -> bytes:
    return _lines({"batches": _old(trace, times=str)} for trace in traces)


def tempo_trace(traces: list[list[Json]]) -> bytes:
    return json.dumps({"trace": {"resourceSpans": _old([each for trace in traces for each in trace])}}).encode()


WRITERS: dict[str, Callable[[list[list[Json]]], bytes]] = {
    writer.__name__: writer
    for writer in (
        otlp_lines,
        otlp_document,
        otlp_pretty,
        otlp_array,
        otlp_old,
        otlp_snake_case,
        protobuf_raw,
        protobuf_delimited,
        collector_proto,
        collector_proto_zstd,
        collector_json_zstd,
        jaeger_v1,
        jaeger_v1_pretty,
        jaeger_v3,
        jaeger_storage,
        zipkin,
        zipkin_traces,
        tempo_batches,
        tempo_trace,
    )
}


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _lines(documents: Iterable[object]) -> bytes:
    return b"".join(_compact(document) + b"\n" for document in documents)


def _framed(messages: Iterable[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _message(trace: list[Json]) -> ExportTraceServiceRequest:
    # In protobuf's own JSON bytes are base64.
    return ParseDict({"resourceSpans": _old(trace, scopes="scopeSpans", times=str)}, ExportTraceServiceRequest())


def _snake_case(message: Any) -> Json:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, preserving_proto_field_name=True, use_integers_for_enums=False)


def _old(
    trace: list[Json], *, scopes: str = "instrumentationLibrarySpans", times: Callable[[str], Any] = int
) -> list[Json]:
    found = []
    for resource in copy.deepcopy(trace):
        [span] = resource["scopeSpans"][0]["spans"]
        for link in (span, *span.get("links", ())):
            for key in {"traceId", "spanId", "parentSpanId"} & link.keys():
                link[key] = base64.b64encode(bytes.fromhex(link[key])).decode()
        for key in ("startTimeUnixNano", "endTimeUnixNano"):
            span[key] = times(span[key])
        span["kind"] = f"SPAN_KIND_{KINDS[span.get('kind', 0)]}"
        span["status"] = {"code": f"STATUS_CODE_{CODES[span.get('status', {}).get('code', 0)]}"}
        found.append({"resource": resource["resource"], scopes: [{"spans": [span]}]})
    return found


def _plain(value: Json) -> Any:
    [(kind, found)] = value.items()
    return int(found) if kind == "intValue" else found


def _tags(span: Json) -> Json:
    return {each["key"]: _plain(each["value"]) for each in span.get("attributes", ())}


def _service(resource: Json) -> str:
    attributes = resource["resource"]["attributes"]
    return next(str(_plain(each["value"])) for each in attributes if each["key"] == "service.name")


def _jaeger(trace: list[Json]) -> Json:
    spans, processes = [], {}
    types = {str: "string", bool: "bool", int: "int64", float: "float64"}
    for resource in trace:
        [span] = resource["scopeSpans"][0]["spans"]
        tags = {**_tags(span), "span.kind": KINDS[span.get("kind", 0)].lower()}
        if code := span.get("status", {}).get("code", 0):
            tags |= {"otel.status_code": CODES[code], **({"error": True} if code == 2 else {})}
        references = [_reference("FOLLOWS_FROM", each["traceId"], each["spanId"]) for each in span.get("links", ())]
        if span.get("parentSpanId"):
            references.insert(0, _reference("CHILD_OF", span["traceId"], span["parentSpanId"]))
        start = int(span["startTimeUnixNano"]) // 1000
        service = _service(resource)
        processes[service] = {"serviceName": service, "tags": []}
        spans.append(
            {
                "traceID": span["traceId"].lstrip("0"),
                "spanID": span["spanId"],
                "operationName": span["name"],
                "references": references,
                "startTime": start,
                "duration": int(span["endTimeUnixNano"]) // 1000 - start,
                "tags": [{"key": key, "type": types[type(value)], "value": value} for key, value in tags.items()],
                "logs": [{"timestamp": start, "fields": [{"key": "event", "type": "string", "value": "x"}]}],
                "processID": service,
                "warnings": None,
            }
        )
    return {"traceID": spans[0]["traceID"], "spans": spans, "processes": processes, "warnings": None}


def _reference(kind: str, trace_id: str, span_id: str) -> Json:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def _as_text(span: Json) -> Json:
    return {**span, "tags": [{**tag, "value": _text(tag["value"])} for tag in span["tags"]]}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _zipkin(resource: Json) -> Json:
    [span] = resource["scopeSpans"][0]["spans"]
    kind, code = KINDS[span.get("kind", 0)], span.get("status", {}).get("code", 0)
    tags = {key: _text(value) for key, value in _tags(span).items()}
    start = int(span["startTimeUnixNano"]) // 1000
    return {
        "traceId": span["traceId"],
        "id": span["spanId"],
        **({"parentId": span["parentSpanId"]} if span.get("parentSpanId") else {}),
        **({"kind": kind} if kind not in {"UNSPECIFIED", "INTERNAL"} else {}),
        "name": span["name"],
        "timestamp": start,
        "duration": int(span["endTimeUnixNano"]) // 1000 - start,
        "localEndpoint": {"serviceName": _service(resource)},
        "tags": {**tags, **({"error": "failed"} if code == 2 else {})},
    }

"""Reading of OTLP/JSON lines, including malformed and truncated ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from observability.analysis.readers.trace_files import read_spans
from observability.analysis.spans import Link, Span, SpanKind, SpanStatus

_SPAN: dict[str, Any] = {
    "traceId": "0123456789ABCDEF0123456789abcdef",
    "spanId": "0123456789abcdef",
    "parentSpanId": "fedcba9876543210",
    "name": "GET /",
    "kind": 2,
    "startTimeUnixNano": "1700000000000000001",
    "endTimeUnixNano": "1700000000000000901",
    "attributes": [
        {"key": "text", "value": {"stringValue": "a"}},
        {"key": "number", "value": {"intValue": "7"}},
        {"key": "share", "value": {"doubleValue": 0.5}},
        {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": True}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "1"}}]}}},
        {"key": "nothing"},
    ],
    "status": {"code": 2},
    "links": [{"traceId": "ABCDEF0123456789abcdef0123456789", "spanId": "00000000000000aa", "flags": 256}],
}


def line(*spans: dict[str, Any]) -> str:
    service = {"key": "service.name", "value": {"stringValue": "some-service"}}
    resource = {"resource": {"attributes": [service]}, "scopeSpans": [{"spans": list(spans)}]}
    return json.dumps({"resourceSpans": [resource]}) + "\n"


def test_a_span_is_read_with_all_it_says(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(line(_SPAN))
    assert read_spans([path]).spans == (
        Span(
            trace_id="0123456789abcdef0123456789abcdef",
            span_id="0123456789abcdef",
            parent_span_id="fedcba9876543210",
            name="GET /",
            kind=SpanKind.SERVER,
            service="some-service",
            start_nanoseconds=1_700_000_000_000_000_001,
            end_nanoseconds=1_700_000_000_000_000_901,
            attributes={"text": "a", "number": 7, "share": 0.5, "list": [True], "map": {"k": 1}, "nothing": None},
            status=SpanStatus.ERROR,
            links=(Link("abcdef0123456789abcdef0123456789", "00000000000000aa"),),
        ),
    )


def test_missing_fields_have_their_default(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    span = {"traceId": _SPAN["traceId"], "spanId": _SPAN["spanId"]}
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))
    [read] = read_spans([path]).spans
    assert (read.parent_span_id, read.kind, read.service) == ("", SpanKind.UNSPECIFIED, "unknown_service")


def test_several_files_are_read_and_repeats_counted(tmp_path: Path) -> None:
    paths = [tmp_path / "traces.000001.jsonl", tmp_path / "traces.jsonl"]
    paths[0].write_text(line(_SPAN))
    paths[1].write_text(line(_SPAN, {**_SPAN, "spanId": "00000000000000aa"}))
    read = read_spans(paths)
    assert (len(read.spans), read.duplicate_spans, read.unread) == (2, 1, ())


@pytest.mark.parametrize(
    "bad",
    [
        line(_SPAN)[:40],
        "7",
        '{"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]}',
        line({**_SPAN, "traceId": "short"}),
        line({**_SPAN, "kind": 99}),
        line({**_SPAN, "links": [{"traceId": _SPAN["traceId"]}]}),
        line({**_SPAN, "startTimeUnixNano": "soon"}),
    ],
)
def test_a_malformed_line_is_counted_and_the_others_are_read(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(bad.rstrip("\n") + "\n" + line(_SPAN) + "\n")
    read = read_spans([path])
    assert (len(read.spans), read.unread_parts) == (1, 1)

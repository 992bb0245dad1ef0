"""Readers of trace formats: no input raises an exception, and special cases of each format are read correctly."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observability.analysis.observation_folder import ObservationUnreadable, read_observation
from observability.analysis.readers.documents import spans_of_document
from observability.analysis.readers.fields import Texts
from observability.analysis.readers.trace_files import SpansRead, read_spans
from observability.analysis.readers.unread import UnreadCounter
from observability.analysis.spans import Link, SpanKind, SpanStatus

# The keys that readers look for, so that nonsense gets deep into them.
WORDS = (
    "_source arrayValue at attributes batches blocked_by code cpu_seconds data doubleValue duration "
    "endTimeUnixNano from id instrumentationLibrarySpans intValue key kind kvlistValue latencies_seconds "
    "links localEndpoint name operationName parentId parentSpanId process processID processes refType "
    "references resource resourceSpans resource_spans result scopeSpans scope_spans serviceName sessions "
    "spanID spanId spans startTime startTimeUnixNano status stringValue tag tags target text timestamp "
    "trace traceID traceId type until value values "
)
KEYS = WORDS.split()
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(
        ["", "0" * 16, "ab" * 16, "c" * 16, "AAAAAAAAAAA=", "SPAN_KIND_SERVER", "CLIENT", "1e999", "int64"]
    ),
    st.text(max_size=5),
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=40,
)
MAGIC = [b"", b"\x0a", b"\0\0\0\x05", b"{", b"[", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"]
LISTED = ("sessions", "processes", "statements", "tables", "caches", "scrapes")


def read(tmp_path: Path, document: object) -> SpansRead:
    (tmp_path / "data.json").write_text(json.dumps(document))
    return read_spans([tmp_path / "data.json"])


@given(document=ANY_JSON)
def test_no_reader_raises_on_any_json(document: Any) -> None:
    unread = UnreadCounter()
    for span in spans_of_document(document, Texts(), unread):
        assert (len(span.trace_id), len(span.span_id)) == (32, 16)


@given(
    resource=ANY_JSON,
    span=st.dictionaries(st.sampled_from(KEYS), ANY_JSON, max_size=12),
    wrap=st.sampled_from(["otlp", "jaeger", "zipkin"]),
)
def test_no_reader_raises_on_a_nearly_right_document(resource: Any, span: Any, wrap: str) -> None:
    documents: dict[str, Any] = {
        "otlp": {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]},
        "jaeger": {"data": [{"traceID": "1", "spans": [{"spanID": "1", **span}], "processes": resource}]},
        "zipkin": [{"traceId": "1", "id": "1", **span}],
    }
    list(spans_of_document(documents[wrap], Texts(), UnreadCounter()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60), head=st.sampled_from(MAGIC))
def test_no_reader_raises_on_any_bytes(tmp_path: Path, content: bytes, head: bytes) -> None:
    (tmp_path / "data").write_bytes(head + content)
    read_spans([tmp_path / "data"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(LISTED), row=ANY_JSON)
def test_no_other_file_of_a_folder_makes_reading_raise(tmp_path: Path, name: str, row: Any) -> None:
    (tmp_path / "traces.jsonl").write_text(json.dumps(otlp()))
    for each in LISTED:
        (tmp_path / f"{each}.jsonl").unlink(missing_ok=True)
    (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    assert read_observation(tmp_path).traces


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=ANY_JSON, name=st.sampled_from(["requests.json", "coverage.json"]))
def test_any_document_of_a_folder_is_read_or_unreadable(tmp_path: Path, name: str, document: Any) -> None:
    (tmp_path / "traces.jsonl").write_text(json.dumps(otlp()))
    for each in ("requests.json", "coverage.json"):
        (tmp_path / each).unlink(missing_ok=True)
    (tmp_path / name).write_text(json.dumps(document))
    with suppress(ObservationUnreadable):
        read_observation(tmp_path)


def otlp(**fields: Any) -> Any:
    span = {"traceId": "ab" * 16, "spanId": "cd" * 8, "startTimeUnixNano": "1", "endTimeUnixNano": "2", **fields}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def test_one_malformed_span_spoils_no_other(tmp_path: Path) -> None:
    document = otlp()
    document["resourceSpans"][0]["scopeSpans"][0]["spans"].append({"traceId": "short"})
    found = read(tmp_path, document)
    assert (len(found.spans), found.unread_parts) == (1, 1)


def jaeger(**fields: Any) -> Any:
    span = {"traceID": "1", "spanID": "2", "operationName": "a", "startTime": 5, "duration": 7, "processID": "p1"}
    return {"data": [{"traceID": "1", "spans": [{**span, **fields}], "processes": {"p1": {"serviceName": "some"}}}]}


def test_jaeger_ids_are_padded_and_times_are_microseconds(tmp_path: Path) -> None:
    [span] = read(tmp_path, jaeger()).spans
    assert (span.trace_id, span.span_id, span.service) == ("0" * 31 + "1", "0" * 15 + "2", "some")
    assert (span.start_nanoseconds, span.end_nanoseconds) == (5_000, 12_000)


def test_jaeger_references_are_a_parent_and_links(tmp_path: Path) -> None:
    references = [
        {"refType": "FOLLOWS_FROM", "traceID": "9", "spanID": "8"},
        {"refType": "CHILD_OF", "traceID": "1", "spanID": "7"},
    ]
    [span] = read(tmp_path, jaeger(references=references)).spans
    assert (span.parent_span_id, span.links) == ("0" * 15 + "7", (Link("0" * 31 + "9", "0" * 15 + "8"),))


def test_jaeger_span_that_follows_from_another_is_not_awaited(tmp_path: Path) -> None:
    """OpenTracing: the cause of a FOLLOWS_FROM reference does not depend on what follows from it."""
    references = [{"refType": "FOLLOWS_FROM", "traceID": "1", "spanID": "7"}]
    tags = [{"key": "span.kind", "type": "string", "value": "server"}]
    [span] = read(tmp_path, jaeger(references=references, tags=tags)).spans
    assert (span.parent_span_id, span.kind) == ("0" * 15 + "7", SpanKind.CONSUMER)


def test_jaeger_tags_give_kind_and_status(tmp_path: Path) -> None:
    tags = [
        {"key": "span.kind", "type": "string", "value": "server"},
        {"key": "error", "type": "bool", "value": True},
        {"key": "rows", "type": "int64", "value": "7"},
    ]
    [span] = read(tmp_path, jaeger(tags=tags)).spans
    assert (span.kind, span.status, span.attributes) == (SpanKind.SERVER, SpanStatus.ERROR, {"rows": 7})


def zipkin(**fields: Any) -> Any:
    return {"traceId": "1", "id": "2", "timestamp": 5, "duration": 7, "localEndpoint": {"serviceName": "a"}, **fields}


def test_zipkin_tags_are_numbers_where_their_text_is_one(tmp_path: Path) -> None:
    tags = {"rows": "7", "seconds": "0.25", "id": "007", "cached": "true", "card": "4" * 19}
    [span] = read(tmp_path, [zipkin(tags=tags)]).spans
    assert span.attributes == {"rows": 7, "seconds": 0.25, "id": "007", "cached": True, "card": "4" * 19}


def test_both_sides_of_a_call_with_one_span_id_become_two_spans(tmp_path: Path) -> None:
    """In either order; the server's spans are below its own side."""
    client, server = zipkin(kind="CLIENT"), zipkin(kind="SERVER", shared=True, localEndpoint={"serviceName": "b"})
    child = zipkin(id="3", parentId="2", localEndpoint={"serviceName": "b"})
    for order in ([client, server, child], [child, server, client]):
        by_id = {span.span_id: span for span in read(tmp_path, order).spans}
        assert len(by_id) == 3
        apart = by_id["0" * 15 + "2-server"]
        assert (apart.service, apart.parent_span_id) == ("b", "0" * 15 + "2")
        assert by_id["0" * 15 + "3"].parent_span_id == apart.span_id

"""Exports to the receiver: spans are in its files, as standard OTLP/JSON, before it answers."""

import gzip
import signal

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from tests.full import in_full
from tests.integration.receiver.conftest import RunningReceiver, StartReceiver
from tests.integration.receiver.http import GZIPPED, PROTOBUF, ask, export
from tests.integration.receiver.requests import request_of


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_sdks_own_exporter_is_understood(receiver: RunningReceiver, compression: Compression) -> None:
    provider = TracerProvider(resource=Resource({"service.name": "some-service"}))
    exporter = OTLPSpanExporter(endpoint=receiver.url, compression=compression)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("an operation") as span:
        context = span.get_span_context()
    provider.shutdown()
    written = receiver.lines()[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert (written["traceId"], written["spanId"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")


def test_numbers_and_ids_have_the_forms_of_otlp_json(receiver: RunningReceiver) -> None:
    export(receiver.address, request_of("one").SerializeToString())
    assert receiver.lines()[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0] == {
        "traceId": "01" * 16,
        "spanId": "0000000000000001",
        "name": "one",
        "kind": 2,
        "startTimeUnixNano": "1700000000000000001",
        "endTimeUnixNano": "1700000000000000901",
    }


@pytest.mark.parametrize("headers", [PROTOBUF, GZIPPED], ids=["identity", "gzip"])
def test_the_answer_is_an_export_response(receiver: RunningReceiver, headers: dict[str, str]) -> None:
    body = request_of("one").SerializeToString()
    answer = export(receiver.address, gzip.compress(body) if headers is GZIPPED else body, headers)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-protobuf")
    assert ExportTraceServiceResponse.FromString(answer.body) == ExportTraceServiceResponse()


def test_gzip_of_several_members_is_read_whole(receiver: RunningReceiver) -> None:
    body = request_of("one", "two").SerializeToString()
    export(receiver.address, gzip.compress(body[:20]) + gzip.compress(body[20:]), GZIPPED)
    assert len(receiver.lines()[0]["resourceSpans"][0]["scopeSpans"][0]["spans"]) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, *in_full(signal.SIGINT)])
def test_a_signal_ends_it_with_status_0_and_everything_written(
    start_receiver: StartReceiver, number: signal.Signals
) -> None:
    receiver = start_receiver()
    for index in range(20):
        export(receiver.address, request_of(f"span {index}").SerializeToString())
    assert receiver.stop(number) == 0
    assert len(receiver.lines()) == 20


def test_a_restart_continues_the_same_file(start_receiver: StartReceiver) -> None:
    first = start_receiver()
    export(first.address, request_of("one").SerializeToString())
    first.stop()
    second = start_receiver()
    export(second.address, request_of("two").SerializeToString())
    assert len(second.lines()) == 2


def test_rotated_files_are_bounded_and_the_newest_stay(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(maximum_file_bytes=2_000, maximum_files=3)
    for index in range(20):
        export(receiver.address, request_of(f"span {index}", padding="x" * 700).SerializeToString())
    names = [line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] for line in receiver.lines()]
    assert len(receiver.files()) == 3
    assert names == [f"span {index}" for index in range(20 - len(names), 20)]


def test_the_receiver_counts_spans_files_and_requests(start_receiver: StartReceiver) -> None:
    receiver = start_receiver(maximum_file_bytes=1, maximum_files=1)
    for _ in range(3):
        export(receiver.address, request_of("one", "two").SerializeToString())
    export(receiver.address, b"not protobuf")
    counts = ask(receiver.address, "GET", "/metrics").body.decode()
    assert "receiver_spans_written_total 6.0" in counts
    assert "receiver_removed_files_total 2.0" in counts
    assert 'receiver_requests_total{status="200"} 3.0' in counts
    assert 'receiver_requests_total{status="400"} 1.0' in counts


def test_the_receiver_is_live(receiver: RunningReceiver) -> None:
    assert ask(receiver.address, "GET", "/livez").status == 200

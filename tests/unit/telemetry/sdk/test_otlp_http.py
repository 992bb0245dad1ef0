"""Export by OTLP over HTTP: what the endpoint gets, which answers are failures, and which are repeated."""

import gzip
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource

from observability.telemetry.sdk.batch_processor import Exported, ExportFailed
from observability.telemetry.sdk.otlp_encoder import encode_request
from observability.telemetry.sdk.otlp_http import OtlpHttpExporter, read_endpoint, read_retry_after
from observability.telemetry.sdk.provider import RecordingTracerProvider
from observability.telemetry.sdk.span import RecordingSpan
from tests.unit.telemetry.sdk.endpoint import Answer, endpoint


def span(**attributes: str | int) -> RecordingSpan:
    """Return a span that has ended."""
    made = RecordingTracerProvider(resource=Resource({"service.name": "shop"})).get_tracer("test").start_span("one")
    made.set_attributes(attributes)
    made.end()
    assert isinstance(made, RecordingSpan)
    return made


def export(url: str, **variables: str) -> Exported:
    """Export a span with these settings of the exporter."""
    settings = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()}
    return OtlpHttpExporter(read_endpoint({"OTEL_EXPORTER_OTLP_ENDPOINT": url, **settings})).export([span(a="b")])


def test_the_endpoint_gets_a_request_in_protobuf() -> None:
    with endpoint() as served:
        assert export(served.url + "/") == Exported()
    assert served.paths == ["/v1/traces"]
    assert served.headers[0]["content-type"] == "application/x-protobuf"
    request = ExportTraceServiceRequest.FromString(served.bodies[0])
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "one"


def test_headers_are_sent_decoded_and_those_of_traces_win() -> None:
    with endpoint() as served:
        export(served.url, HEADERS="a=all", TRACES_HEADERS="Authorization=Basic%20abc,b=two")
    assert (served.headers[0]["authorization"], served.headers[0]["b"]) == ("Basic abc", "two")
    assert "a" not in served.headers[0]


def test_the_path_of_a_traces_endpoint_is_used_as_it_is() -> None:
    with endpoint() as served:
        export("http://127.0.0.1:1", TRACES_ENDPOINT=f"{served.url}/other")
    assert served.paths == ["/other"]


def test_a_compressed_request_says_so() -> None:
    with endpoint() as served:
        export(served.url, COMPRESSION="gzip")
    assert served.headers[0]["content-encoding"] == "gzip"
    assert ExportTraceServiceRequest.FromString(gzip.decompress(served.bodies[0])).resource_spans


def test_an_answer_names_rejected_spans() -> None:
    partial = ExportTracePartialSuccess(rejected_spans=2, error_message="too old")
    with endpoint(Answer(body=ExportTraceServiceResponse(partial_success=partial).SerializeToString())) as served:
        assert export(served.url) == Exported(2, "too old")


def test_an_answer_that_is_not_otlp_rejects_nothing() -> None:
    with endpoint(Answer(body=b"<html>fine</html>")) as served:
        assert export(served.url) == Exported()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_trouble_is_repeated_when_the_endpoint_says(status: int) -> None:
    with endpoint(Answer(status, {"retry-after": "0"}), Answer(status, {"retry-after": "0"})) as served:
        assert export(served.url) == Exported()
    assert len(served.bodies) == 3


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
def test_any_other_trouble_is_final(status: int) -> None:
    with endpoint(Answer(status, {"location": "/"})) as served, pytest.raises(ExportFailed, match=str(status)):
        export(served.url)
    assert len(served.bodies) == 1


def test_a_wait_beyond_the_time_limit_is_not_begun() -> None:
    with endpoint(Answer(503, {"retry-after": "3600"})) as served, pytest.raises(ExportFailed, match="503"):
        export(served.url)
    assert len(served.bodies) == 1


def test_a_refused_connection_fails_at_the_time_limit() -> None:
    with endpoint() as served:
        pass
    with pytest.raises(ExportFailed, match="ConnectionError"):
        export(served.url, TIMEOUT="0.3")


def test_a_shutdown_ends_the_wait_before_a_repeat() -> None:
    with endpoint(Answer(503, {"retry-after": "500"})) as served:
        exporter = OtlpHttpExporter(
            read_endpoint({"OTEL_EXPORTER_OTLP_ENDPOINT": served.url, "OTEL_EXPORTER_OTLP_TIMEOUT": "900"})
        )
        failed: list[ExportFailed] = []

        def run() -> None:
            with pytest.raises(ExportFailed) as caught:
                exporter.export([span()])
            failed.append(caught.value)

        thread = threading.Thread(target=run)
        thread.start()
        while not served.bodies:
            thread.join(0.01)
        exporter.shutdown()
        thread.join(300)
    assert "503" in str(failed[0])


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("0.5", 0.5), ("-1", 0.0), ("", None), ("soon", None), ("inf", None)]
)
def test_retry_after_is_a_number_of_seconds(value: str, seconds: float | None) -> None:
    assert read_retry_after(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    seconds = read_retry_after(format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True))
    assert seconds is not None
    assert 0 < seconds <= 7_200


def test_only_allowed_attributes_leave() -> None:
    request = ExportTraceServiceRequest.FromString(encode_request([span(a="1", b=2)], allowed={"b"}))
    (made,) = request.resource_spans[0].scope_spans[0].spans
    assert [(pair.key, pair.value.int_value) for pair in made.attributes] == [("b", 2)]


def test_a_number_beyond_64_bits_is_a_text() -> None:
    request = ExportTraceServiceRequest.FromString(encode_request([span(big=2**63)]))
    assert request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.string_value == str(2**63)


def test_a_text_that_is_no_unicode_loses_no_batch() -> None:
    request = ExportTraceServiceRequest.FromString(encode_request([span(a="\ud800b")]))
    assert request.resource_spans[0].scope_spans[0].spans[0].attributes[0].value.string_value == "?b"


def test_equal_values_of_different_types_stay_different() -> None:
    pairs = [span(a=True), span(a=1), span(a="1")]
    request = ExportTraceServiceRequest.FromString(encode_request(pairs))
    found = [
        scope.spans[0].attributes[0].value.WhichOneof("value")
        for resource in request.resource_spans
        for scope in resource.scope_spans
    ]
    assert found == ["bool_value", "int_value", "string_value"]

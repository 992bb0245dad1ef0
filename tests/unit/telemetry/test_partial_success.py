"""Spans that an endpoint rejects, though it answers well, are counted as lost, over HTTP and over gRPC."""

import json
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from threading import Thread

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from observability.telemetry import setup

ANSWER = ExportTraceServiceResponse(
    partial_success=ExportTracePartialSuccess(rejected_spans=2, error_message="too old")
)


class Handler(BaseHTTPRequestHandler):
    """Rejects two spans of each request."""

    def do_POST(self) -> None:
        """Answer one request."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(ANSWER.SerializeToString())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class Servicer(TraceServiceServicer):
    """Rejects two spans of each request."""

    def Export(  # noqa: N802 - gRPC's name
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        """Answer one request."""
        return ANSWER


@contextmanager
def http() -> Iterator[int]:
    """Serve over HTTP."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def over_grpc() -> Iterator[int]:
    """Serve over gRPC."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    add_TraceServiceServicer_to_server(Servicer(), server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None)


@pytest.mark.parametrize("sdk", ["lean", "stock"])
@pytest.mark.parametrize(("protocol", "serving"), [("http/protobuf", http), ("grpc", over_grpc)])
def test_rejected_spans_are_counted_and_logged(
    protocol: str, serving: object, sdk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as port:  # type: ignore[operator]
        monkeypatch.setenv("PLUMB_TELEMETRY_SDK", sdk)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        logs = BytesIO()
        runtime = setup.start("order", log_level="info", log_stream=logs)
        for _ in range(5):
            runtime.for_context("order").tracer.start_span("one").end()
        assert runtime.shut_down(timeout_seconds=30.0)
    name = "otel_sdk_exporter_span_exported_total"
    values = {
        error_type: runtime.metrics.registry.get_sample_value(name, {"error_type": error_type})
        for error_type in ("", "rejected", "export_failed")
    }
    assert values == {"": 3.0, "rejected": 2.0, "export_failed": 0.0}
    (line,) = map(json.loads, logs.getvalue().splitlines())
    assert (line["event"], line["spans"], line["reason"]) == ("telemetry.spans_rejected", 2, "too old")

"""Stand-in for Loki that accepts OTLP logs and keeps them for the test to read."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

PATH = "/otlp/v1/logs"


@dataclass(frozen=True, slots=True)
class LokiStandIn:
    """Its address for the Collector, and every request it took, in the order they came."""

    port: int
    requests: list[ExportLogsServiceRequest] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """Return the value for COLLECTOR_LOKI."""
        return f"http://127.0.0.1:{self.port}/otlp"

    def records(self) -> list[tuple[str, LogRecord]]:
        """Each record with the service.name of its resource."""
        return [
            (service_name(resource.resource.attributes), record)
            for request in self.requests
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def text(self) -> str:
        """Everything that was sent, for a search."""
        return "".join(str(request) for request in self.requests)


def service_name(attributes: object) -> str:
    """Return the service.name among a resource's attributes, or an empty text."""
    return next((pair.value.string_value for pair in attributes if pair.key == "service.name"), "")  # type: ignore[attr-defined]  # generated


def plain(value: AnyValue) -> object:
    """Return a value of OTLP as Python has it."""
    match value.WhichOneof("value"):
        case "kvlist_value":
            return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
        case "array_value":
            return [plain(item) for item in value.array_value.values]
        case None:
            return None
        case kind:
            return getattr(value, kind)


@contextmanager
def loki_stand_in() -> Iterator[LokiStandIn]:
    """Serve until the block ends."""
    requests: list[ExportLogsServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == PATH:
                requests.append(ExportLogsServiceRequest.FromString(body))
            self.send_response(204 if self.path == PATH else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield LokiStandIn(server.server_address[1], requests)
    finally:
        server.shutdown()
        server.server_close()
        serving.join(5)

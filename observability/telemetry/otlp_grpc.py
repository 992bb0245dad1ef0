"""Export of spans by OTLP over gRPC, with keepalive, and with the rejected spans of each response."""

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

# With keepalive, gRPC makes the kernel close a connection whose bytes are not acknowledged for 10 s. Without it, a lost
# connection swallows spans for a quarter of an hour. Collectors disconnect clients that ping more often.
KEEPALIVE = (("grpc.keepalive_time_ms", 300_000), ("grpc.keepalive_timeout_ms", 10_000))
Note: TypeAlias = Callable[[ExportTraceServiceResponse], None]


class WatchedGrpcExporter(GrpcExporter):
    """The SDK's exporter, which ignores responses, with `note` called for each of them."""

    def __init__(self, note: Note) -> None:
        self._note = note
        super().__init__(channel_options=KEEPALIVE)  # type: ignore[arg-type]  # gRPC takes numbers

    def _initialize_channel_and_stub(self) -> None:
        """Connect, as the SDK does at the start and after a failure, and put our interceptor before the channel."""
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]  # has no annotations
        assert self._channel is not None
        self._client = self._stub(grpc.intercept_channel(self._channel, RejectionInterceptor(self._note)))


class RejectionInterceptor(grpc.UnaryUnaryClientInterceptor):
    """Calls `note` with the response of each successful call."""

    def __init__(self, note: Note) -> None:
        self._note = note

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # noqa: ANN401
        """Pass the call on."""
        call = continuation(client_call_details, request)
        if call.code() is grpc.StatusCode.OK:
            self._note(call.result())
        return call

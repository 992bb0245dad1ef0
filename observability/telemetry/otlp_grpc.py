"""Export of spans by OTLP over gRPC: the SDK's exporter, on a channel that reads answers and notices silence."""

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

# With keepalive gRPC has the kernel give up bytes that no one acknowledges for 10 s: without it, a connection that was
# lost without a word swallows spans for a quarter of an hour. Collectors hang up on clients that ping more often.
KEEPALIVE = (("grpc.keepalive_time_ms", 300_000), ("grpc.keepalive_timeout_ms", 10_000))
Note: TypeAlias = Callable[[ExportTraceServiceResponse], None]


class WatchedGrpcExporter(GrpcExporter):
    """The SDK's exporter, which reads no answer: here rejected spans are noticed."""

    def __init__(self, note: Note) -> None:
        self._note = note
        super().__init__(channel_options=KEEPALIVE)  # type: ignore[arg-type]  # gRPC takes numbers

    def _initialize_channel_and_stub(self) -> None:
        """Connect, as the SDK does at first and again after a failure, with our interceptor before the channel."""
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]  # has no annotations
        assert self._channel is not None
        self._client = self._stub(grpc.intercept_channel(self._channel, RejectionInterceptor(self._note)))


class RejectionInterceptor(grpc.UnaryUnaryClientInterceptor):
    """Reads the answer of each call that succeeded."""

    def __init__(self, note: Note) -> None:
        self._note = note

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # noqa: ANN401
        """Pass the call on."""
        call = continuation(client_call_details, request)
        if call.code() is grpc.StatusCode.OK:
            self._note(call.result())
        return call

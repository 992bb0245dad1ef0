"""Telemetry of RPCs: a span and a duration sample on the client, and on the server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from observability.telemetry.links import link_to_caller
from observability.telemetry.telemetry import Telemetry

# Metadata that gRPC's client adds to a retry: the number of attempts before it.
PREVIOUS_ATTEMPTS = "grpc-previous-rpc-attempts"
# Statuses that are the server's fault (semantic conventions for gRPC); all others are the caller's.
SERVER_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})


@dataclass(slots=True)
class Call:
    """One running RPC.

    status_code: name of the gRPC status, set by the caller before the end.
    traceresponse: W3C `traceresponse` of the server's span.
    metadata: metadata for the client to send, which carries the trace.
    """

    status_code: str = "CANCELLED"
    traceresponse: str = ""
    metadata: dict[str, str] = field(default_factory=dict)


@contextmanager
def server_call(
    telemetry: Telemetry, method: str, metadata: Mapping[str, str], *, continues_trace: bool = True
) -> Iterator[Call]:
    """Observe one RPC on the server; `method` is `package.Service/Method`, `metadata` carries the caller's trace.

    The caller's trace is continued; with `continues_trace=False`, a new trace links to it.
    """
    metrics, context = telemetry.metrics, telemetry.context
    call, started = Call(), perf_counter()
    attributes = {"rpc.system.name": "grpc", "rpc.method": method, "shop.context": context}
    with telemetry.tracer.start_as_current_span(
        method,
        context=extract(metadata) if continues_trace else Context(),
        links=[] if continues_trace or not (link := link_to_caller(metadata)) else [link],
        kind=SpanKind.SERVER,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        call.traceresponse = traceresponse_of(span)
        if previous := metadata.get(PREVIOUS_ATTEMPTS):
            span.set_attribute(f"rpc.request.metadata.{PREVIOUS_ATTEMPTS}", [previous])
            metrics.rpc_server_repeated_attempts.add(1, context, method)
        metrics.rpc_server_active_calls.add(1, context)
        try:
            yield call
        finally:
            metrics.rpc_server_active_calls.add(-1, context)
            finish(span, call, failed=call.status_code in SERVER_FAULTS)
            metrics.rpc_server_call_duration.observe(perf_counter() - started, context, method, call.status_code)


@contextmanager
def client_call(telemetry: Telemetry, method: str, *, address: str, port: int) -> Iterator[Call]:
    """Observe one RPC on the client; the caller sends `metadata`, which carries the trace."""
    call, started = Call(), perf_counter()
    attributes: dict[str, str | int] = {
        "rpc.system.name": "grpc",
        "rpc.method": method,
        "server.address": address,
        "server.port": port,
        "shop.context": telemetry.context,
    }
    with telemetry.tracer.start_as_current_span(
        method, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        inject(call.metadata)
        try:
            yield call
        finally:
            finish(span, call, failed=call.status_code != "OK")
            labels = (telemetry.context, method, call.status_code)
            telemetry.metrics.rpc_client_call_duration.observe(perf_counter() - started, *labels)


def traceresponse_of(span: Span) -> str:
    """Return the W3C `traceresponse` of a span, which holds its ids; empty for an invalid span."""
    context = span.get_span_context()
    ids = f"{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}"
    return f"00-{ids}-{context.trace_flags:02x}" if context.is_valid else ""


def begin_at_zero(telemetry: Telemetry, method: str) -> None:
    """Start the server's series of a method at 0: a series that starts at 1 has no rate."""
    telemetry.metrics.rpc_server_repeated_attempts.add(0, telemetry.context, method)
    telemetry.metrics.rpc_server_call_duration.child(telemetry.context, method, "OK")


def finish(span: Span, call: Call, *, failed: bool) -> None:
    """Set the call's status on its span."""
    span.set_attribute("rpc.response.status_code", call.status_code)
    if failed:
        span.set_attribute("error.type", call.status_code)
        span.set_status(Status(StatusCode.ERROR))

"""Forwarding of received spans to a second endpoint over HTTP or gRPC; lost spans are counted and delay no request."""

import socket
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.receiver.conftest import RunningReceiver, StartReceiver
from tests.integration.receiver.http import ask, export
from tests.integration.receiver.requests import request_of

LIMIT_SECONDS = 300.0


def forwarded(address: str, outcome: str) -> float:
    """Return the receiver's count of spans with this outcome."""
    page = ask(address, "GET", "/metrics").body.decode()
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return sum(
        sample.value
        for sample in samples
        if sample.name == "receiver_forwarded_spans_total" and sample.labels["outcome"] == outcome
    )


def wait_for(address: str, outcome: str, spans: int) -> None:
    """Wait until so many spans had an outcome."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while forwarded(address, outcome) < spans:
        assert time.monotonic() < deadline, f"{outcome} never came to {spans}"
        time.sleep(0.02)


class Collector(TraceServiceServicer):
    """Takes spans over gRPC, rejects those named so, and keeps what it was told."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.metadata: dict[str, str | bytes] = {}

    def Export(  # noqa: N802 - gRPC's name
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        """Answer one request."""
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        spans = [span for each in request.resource_spans for scope in each.scope_spans for span in scope.spans]
        rejected = sum(span.name == "rejected" for span in spans)
        return ExportTraceServiceResponse(
            partial_success=ExportTracePartialSuccess(rejected_spans=rejected, error_message="too old")
        )


@contextmanager
def collector() -> Iterator[tuple[Collector, str]]:
    """Run a collector; yield it and its address."""
    server, servicer = grpc.server(futures.ThreadPoolExecutor(max_workers=2)), Collector()
    add_TraceServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"http://127.0.0.1:{port}"
    server.stop(None)


def test_over_http_both_have_the_same_line(start_receiver: StartReceiver, receiver: RunningReceiver) -> None:
    ours = start_receiver(forward_endpoint=receiver.url)
    export(ours.address, request_of("one", "two").SerializeToString())
    wait_for(ours.address, "sent", 2)
    assert receiver.lines() == ours.lines()


def test_spans_are_forwarded_over_grpc_and_rejections_counted(start_receiver: StartReceiver) -> None:
    with collector() as (theirs, endpoint):
        ours = start_receiver(
            forward_endpoint=endpoint, forward_protocol="grpc", forward_headers="api-key=a%20b,tenant=shop"
        )
        request = request_of("one", "rejected")
        export(ours.address, request.SerializeToString())
        wait_for(ours.address, "rejected", 1)
        assert forwarded(ours.address, "sent") == 1
        assert theirs.requests == [request]
        assert (theirs.metadata["api-key"], theirs.metadata["tenant"]) == ("a b", "shop")


def test_a_silent_endpoint_delays_nothing_and_counts_lost_spans(
    start_receiver: StartReceiver,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        # On a slow machine too none of them is given up, which would make room.
        ours = start_receiver(forward_endpoint=endpoint, forward_timeout_seconds=60)
        body = request_of("one", padding="x" * 1_000_000).SerializeToString()
        statuses = {export(ours.address, body).status for _ in range(20)}
        assert statuses == {200}
        assert forwarded(ours.address, "queue_full") > 0
        assert ours.stop() == 0


def test_a_refusal_is_not_repeated(start_receiver: StartReceiver, receiver: RunningReceiver) -> None:
    ours = start_receiver(forward_endpoint=f"http://{receiver.address}/elsewhere")
    export(ours.address, request_of("one").SerializeToString())
    wait_for(ours.address, "failed", 1)


def test_a_receiver_does_not_forward_to_itself(start_receiver: StartReceiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ours = start_receiver(listen=f"127.0.0.1:{port}", forward_endpoint=f"http://localhost:{port}/v1/traces")
    export(ours.address, request_of("one").SerializeToString())
    assert len(ours.lines()) == 1
    assert ours.stop() == 0

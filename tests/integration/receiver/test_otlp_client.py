"""Tests of the OTLP client over HTTP with endpoints whose answer arrives in parts, or is too large."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from observability.receiver.otlp_client import (
    MAXIMUM_ANSWER_BYTES,
    SendFailed,
    Sent,
    open_otlp_client,
)
from observability.receiver.otlp_endpoint import OtlpEndpoint

# Rounds of the event loop in which the client reads the byte that was written.
ROUNDS = 20
REJECTED = ExportTraceServiceResponse(
    partial_success=ExportTracePartialSuccess(rejected_spans=3, error_message="too old")
).SerializeToString()


@asynccontextmanager
async def answering(body: bytes, *, part_bytes: int) -> AsyncIterator[str]:
    """Answer each request with a body in parts; give the URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        for begin in range(0, len(body), part_bytes):
            writer.write(body[begin : begin + part_bytes])
            for _ in range(ROUNDS):
                await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/traces"


async def test_an_answer_in_parts_is_read_to_its_end() -> None:
    """The first part alone does not show that spans were rejected."""
    async with answering(REJECTED, part_bytes=1) as url, open_otlp_client(OtlpEndpoint(url=url)) as client:
        assert await client.send(b"") == Sent(3, "too old")


async def test_an_answer_that_is_too_large_is_refused() -> None:
    body = bytes(MAXIMUM_ANSWER_BYTES + 1)
    async with answering(body, part_bytes=len(body)) as url, open_otlp_client(OtlpEndpoint(url=url)) as client:
        with pytest.raises(SendFailed, match="larger than 65536 bytes") as caught:
            await client.send(b"")
    assert not caught.value.is_retryable

"""Forwarding of received spans to a second endpoint, from a bounded queue; lost spans are counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from observability.receiver.counts import Counts
from observability.receiver.otlp_client import OtlpClient, SendFailed, open_otlp_client, send_with_retries
from observability.receiver.otlp_endpoint import OtlpEndpoint

MAXIMUM_QUEUED_BYTES = 16 * 1024 * 1024
CLOSE_SECONDS = 2.0


class Forwarder:
    """Queue of requests in front of one client; lost spans are counted, and each outage is logged once."""

    def __init__(self, client: OtlpClient, *, counts: Counts, log: structlog.typing.FilteringBoundLogger) -> None:
        self._client = client
        self._counts = counts
        self._log = log
        self._requests: asyncio.Queue[tuple[bytes, int] | None] = asyncio.Queue()
        self._queued_bytes = 0
        self._is_failing = False
        for outcome in ("sent", "rejected", "failed", "queue_full"):
            counts.forwarded_spans.labels(outcome).inc(0)

    def put(self, body: bytes, spans: int) -> None:
        """Queue an export request and the number of its spans; never waits."""
        if self._queued_bytes + len(body) > MAXIMUM_QUEUED_BYTES:
            self._lose(spans, "queue_full", "the queue is full")
            return
        self._queued_bytes += len(body)
        self._requests.put_nowait((body, spans))

    def end(self) -> None:
        """Let `run` return after it has sent the queued requests."""
        self._requests.put_nowait(None)

    async def run(self) -> None:
        """Send the requests one after the other until `end` is called."""
        while request := await self._requests.get():
            body, spans = request
            await self._send(body, spans)
            self._queued_bytes -= len(body)

    def drop_queued(self) -> None:
        """Count the queued requests as lost."""
        while not self._requests.empty():
            if request := self._requests.get_nowait():
                self._lose(request[1], "failed", "the receiver ended")

    async def _send(self, body: bytes, spans: int) -> None:
        try:
            sent = await send_with_retries(self._client, body)
        except SendFailed as error:
            self._lose(spans, "failed", str(error))
            return
        except asyncio.CancelledError:
            self._lose(spans, "failed", "the receiver ended")
            raise
        rejected = max(0, min(spans, sent.rejected_spans))
        self._counts.forwarded_spans.labels("sent").inc(spans - rejected)
        if rejected:
            self._lose(rejected, "rejected", sent.reason)
        elif self._is_failing:
            self._is_failing = False
            self._log.info("receiver.forwarding_resumed")

    def _lose(self, spans: int, outcome: str, reason: str) -> None:
        self._counts.forwarded_spans.labels(outcome).inc(spans)
        if not self._is_failing:
            self._is_failing = True
            self._log.warning("receiver.forwarding_failed", outcome=outcome, spans=spans, reason=reason)


@asynccontextmanager
async def forwarding(
    endpoint: OtlpEndpoint, *, counts: Counts, log: structlog.typing.FilteringBoundLogger
) -> AsyncIterator[Forwarder]:
    """Forward during a with block; at its end, queued requests have two seconds to be sent. Raises OSError."""
    async with open_otlp_client(endpoint) as client:
        forwarder = Forwarder(client, counts=counts, log=log)
        running = asyncio.create_task(forwarder.run(), name="forwarder")
        try:
            yield forwarder
        finally:
            forwarder.end()
            await asyncio.wait({running}, timeout=CLOSE_SECONDS)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            forwarder.drop_queued()

"""Silently lost connections of NATS, mail and OTLP over HTTP: each client times out and recovers."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from observability.network.proxy import rerouted
from observability.receiver.otlp_client import SendFailed, Sent, open_otlp_client
from observability.receiver.otlp_endpoint import OtlpEndpoint
from observability.telemetry import setup
from services.infra.messaging import nats_log
from services.infra.messaging.nats_log import NatsLog
from services.kernel.errors import ServiceError
from services.local.processes.scratch_folder import Scratch
from services.local.servers.nats import NatsStart, nats_server_available, start_nats
from services.notification.adapters import smtp
from services.notification.adapters.smtp import SmtpSender, SmtpServer
from services.notification.api import ConfirmationNotSent
from tests.integration.infra.test_silent_connections import assert_back, proxied, silence
from tests.integration.notification.conftest import ADDRESSES
from tests.patience import PATIENCE_SECONDS
from tests.unit.notification.test_confirmation import NOTIFICATION

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def nats_address(folder: Path) -> AsyncIterator[str]:
    """Run a server during a with block; give its URL."""
    if not nats_server_available():
        pytest.skip("there is no nats-server here: the event log on NATS goes untested")
    async with AsyncExitStack() as stack:
        scratch = Scratch()
        stack.push_async_callback(scratch.close)
        start = NatsStart(scratch=scratch, log_path=folder / "nats.log", environment=os.environ)
        yield (await start_nats(start, stack=stack)).url


async def test_a_log_in_nats_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client hangs up after some pings without an answer, and connects anew."""
    monkeypatch.setattr(nats_log, "PING_SECONDS", 0.2)
    monkeypatch.setattr(nats_log, "CONNECT_SECONDS", PATIENCE_SECONDS)
    async with nats_address(tmp_path) as url, proxied(url.rpartition("@")[2].removeprefix("nats://")) as proxy:
        log = await NatsLog.open(rerouted(url, proxy.address), allow_unsafe_sync=True)
        log._stream._timeout = 0.5  # of a request; of the connection it stays long
        await assert_back(proxy, log.state, ServiceError)
        await log.close()


class SlowMailbox:
    """A mail server that delays its first answer until it is released."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answering = asyncio.Event()

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        """Take a mail."""
        self.asked.set()
        await self.answering.wait()
        return "250 fine"


async def sent_in_part(sender: SmtpSender, mailbox: SlowMailbox) -> asyncio.Task[None]:
    """Send a mail whose answer the mailbox holds back; again where a slow machine exceeds the limit before that."""
    while True:
        sending, asked = asyncio.create_task(sender.send(NOTIFICATION)), asyncio.create_task(mailbox.asked.wait())
        await asyncio.wait({sending, asked}, return_when=asyncio.FIRST_COMPLETED)
        if mailbox.asked.is_set():
            return sending
        asked.cancel()
        with pytest.raises(ConfirmationNotSent):
            await sending


async def test_mail_on_a_silent_connection_times_out_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each has a connection of its own."""
    monkeypatch.setattr(smtp, "SEND_SECONDS", 1.0)
    mailbox, loop = SlowMailbox(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, hostname="test"), LOOPBACK, 0)
    async with server, proxied(f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}") as proxy:
        host, _, port = proxy.address.rpartition(":")
        sender = SmtpSender(SmtpServer(host, int(port), starttls=False), addresses=ADDRESSES)
        async with asyncio.timeout(PATIENCE_SECONDS):
            sending = await sent_in_part(sender, mailbox)
            async with silence(proxy):
                mailbox.answering.set()
                with pytest.raises(ConfirmationNotSent):
                    await sending
                monkeypatch.undo()
                await sender.send(NOTIFICATION)


@asynccontextmanager
async def collector() -> AsyncIterator[str]:
    """Take every export over HTTP during a with block; give host:port."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=b"", content_type="application/x-protobuf")

    application = web.Application()
    application.router.add_post("/v1/traces", take)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield f"{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("sdk", ["lean", "stock"])
async def test_an_exporter_over_http_loses_one_batch(monkeypatch: pytest.MonkeyPatch, sdk: str) -> None:
    """It gives up within OTEL_EXPORTER_OTLP_TIMEOUT, and sends the next batch over another connection."""
    async with collector() as address, proxied(address) as proxy:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{proxy.address}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")
        monkeypatch.setenv("PLUMB_TELEMETRY_SDK", sdk)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
        runtime = setup.start("test", log_level="info", log_stream=BytesIO())

        async def export() -> dict[str, float | None]:
            """Export one span; return how many were exported and how many were lost since the start."""
            runtime.for_context("test").tracer.start_span("one").end()
            await asyncio.to_thread(runtime.provider.force_flush)
            read, name = runtime.metrics.registry.get_sample_value, "otel_sdk_exporter_span_exported_total"
            return {outcome: read(name, {"error_type": outcome}) for outcome in ("", "export_failed")}

        assert await export() == {"": 1.0, "export_failed": 0.0}
        async with silence(proxy), asyncio.timeout(PATIENCE_SECONDS):
            assert await export() == {"": 1.0, "export_failed": 1.0}
            assert await export() == {"": 2.0, "export_failed": 1.0}
        assert await asyncio.to_thread(runtime.shut_down, timeout_seconds=PATIENCE_SECONDS)


async def test_a_receivers_forwarding_over_http_fails_once() -> None:
    async with collector() as address, proxied(address) as proxy:
        endpoint = OtlpEndpoint(url=f"http://{proxy.address}/v1/traces", timeout_seconds=5.0)
        async with open_otlp_client(endpoint) as client:
            assert await client.send(b"") == Sent()
            async with silence(proxy), asyncio.timeout(PATIENCE_SECONDS):
                with pytest.raises(SendFailed, match="no answer in time") as caught:
                    await client.send(b"")
                assert caught.value.is_retryable
                assert await client.send(b"") == Sent()

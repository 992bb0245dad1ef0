"""Tests of the alerts on spans that the Collector loses, behind a Jaeger that hangs, with rules 60 times as fast."""

import asyncio
import os
import signal
import time
import urllib.error
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest

from observability.alert_drill.drill import seen
from observability.alert_drill.environment import ALWAYS
from observability.testbed.monitoring.servers import (
    ALERTMANAGER,
    PROMETHEUS,
    MonitoringOptions,
    find_program,
    monitoring,
)
from observability.testbed.monitoring.webhook import Webhook, webhook
from tests.stack.collector import Collector, collector
from tests.stack.conftest import Measured
from tests.stack.foreign_spans import ForeignSpan, send
from tests.stack.jaeger import Jaeger, jaeger

SCALE = 60
HEALTHY_SECONDS = 10.0
# The Collector tries for a minute before it gives a batch up.
FIRE_SECONDS = 600.0
# It tries again after at most half a minute.
CLEAR_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """What is sent: so many spans a request, each with so many bytes of a route, a request in so many seconds."""

    spans: int
    route_bytes: int
    every_seconds: float

    def offer(self, taken: Collector) -> None:
        """Send one request, which may be refused for want of memory."""
        route = {"http.route": "/" * self.route_bytes}
        try:
            send(taken.otlp_http, [ForeignSpan(attributes=route) for _ in range(self.spans)])
        except urllib.error.HTTPError as refusal:
            if refusal.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The spans sent while Jaeger hangs, the alert that must fire, and the alerts that may."""

    flow: Flow
    alert: str
    beside: frozenset[str] = frozenset()
    overlay: str = ""


# Two small batches a second.
THIN = Flow(spans=10, route_bytes=1, every_seconds=0.25)
# Some 5 MB a second, in batches that Jaeger takes: they fill the memory long before the queue.
BROAD = Flow(spans=50, route_bytes=16_000, every_seconds=0.15)
# Up to twenty batches a second, of which the queue holds 200. With two at best, as the Collector is set up, it takes a
# slow machine longer to fill it than anybody waits.
DENSE = Flow(spans=10, route_bytes=1, every_seconds=0.05)
SMALL_BATCHES = "processors: {batch: {timeout: 50ms}}"
FAULTS = (
    # Where memory or the queue fill slowly, as on a slow machine, the first batches are given up before.
    Fault(alert="ShopCollectorSpansRefused", flow=BROAD, beside=frozenset({"ShopCollectorSpansFailed"})),
    Fault(alert="ShopCollectorSpansFailed", flow=THIN),
    Fault(
        alert="ShopCollectorSpansDropped",
        flow=DENSE,
        beside=frozenset({"ShopCollectorSpansFailed"}),
        overlay=SMALL_BATCHES,
    ),
)


@pytest.mark.skipif(
    not (find_program(PROMETHEUS) and find_program(ALERTMANAGER)),
    reason="there is no prometheus or prometheus-alertmanager here: these alerts do not fire for real",
)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.alert)
async def test_lost_spans_fire_and_resolve_an_alert(fault: Fault, tmp_path: Path, measured: Measured) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(fault.overlay, encoding="utf-8")
    with jaeger(tmp_path) as search, collector(tmp_path, overlay, jaeger=search.otlp) as taken:
        # Before and after the fault few spans flow: of many, a slow machine may lose some in any case.
        async with watching(taken, tmp_path) as hook, flowing(THIN, taken):
            await asyncio.sleep(HEALTHY_SECONDS)
            assert not lost(hook)
            began = time.monotonic()
            with standing_still(search):
                async with flowing(fault.flow, taken):
                    detected = await when(hook, fault.alert, firing=True, since=began) - began
            ended = time.monotonic()
            cleared = await when(hook, fault.alert, firing=False, since=ended) - ended
            assert lost(hook) - fault.beside == {fault.alert}
    measured(f"{fault.alert}: detected after {detected:.1f} s, cleared after {cleared:.1f} s")


@asynccontextmanager
async def watching(taken: Collector, folder: Path) -> AsyncIterator[Webhook]:
    """Watch the Collector with our rules; yield whom Alertmanager tells, once it does."""
    async with webhook() as hook:
        targets = {"otel-collector": taken.metrics, "span-metrics": taken.span_metrics}
        options = MonitoringOptions(targets=targets, logs_directory=folder, scale=SCALE, webhook_url=hook.url)
        async with monitoring(options):
            await when(hook, ALWAYS, firing=True, since=0.0)
            yield hook


@asynccontextmanager
async def flowing(flow: Flow, taken: Collector) -> AsyncIterator[None]:
    """Let spans flow during a with block."""

    async def offer_all() -> None:
        while True:
            await asyncio.to_thread(flow.offer, taken)
            await asyncio.sleep(flow.every_seconds)

    task = asyncio.create_task(offer_all())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@contextmanager
def standing_still(search: Jaeger) -> Iterator[None]:
    """Jaeger accepts nothing and does not reject either."""
    os.kill(search.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(search.pid, signal.SIGCONT)


async def when(hook: Webhook, alert: str, *, firing: bool, since: float) -> float:
    """Wait until the webhook gets the notification; return its time."""
    limit_seconds = FIRE_SECONDS if firing else CLEAR_SECONDS
    notice = await seen(hook, alert, firing=firing, since=since, limit_seconds=limit_seconds)
    assert notice, f"{alert}, firing={firing}, was not notified; notices were {[each.alert for each in hook.notices]}"
    return notice.seconds


def lost(hook: Webhook) -> set[str]:
    """Return the alerts on lost spans that the webhook got."""
    return {each.alert for each in hook.notices if each.alert.startswith("ShopCollectorSpans")}

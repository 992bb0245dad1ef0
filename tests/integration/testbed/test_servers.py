"""Tests of Prometheus and Alertmanager: they start with our rules, notify the receivers, and reload configuration."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from observability.cli import main
from observability.cli.up import watched
from observability.testbed.monitoring.client import PrometheusClient, QueryFailed
from observability.testbed.monitoring.exporter import PROGRAM
from observability.testbed.monitoring.servers import (
    ALERTMANAGER,
    PROMETHEUS,
    Monitoring,
    MonitoringOptions,
    find_program,
    monitoring,
)
from observability.testbed.monitoring.webhook import Webhook, webhook
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform
from tests.patience import PATIENCE_SECONDS

needs_prometheus = pytest.mark.skipif(
    not (find_program(PROMETHEUS) and find_program(ALERTMANAGER)),
    reason="there is no prometheus or prometheus-alertmanager here: what they do with our rules stays unproven",
)


@pytest.fixture
async def listener() -> AsyncIterator[Webhook]:
    """Yield a webhook that receives the notifications."""
    async with webhook() as server:
        yield server


@pytest.fixture
async def running(listener: Webhook, tmp_path: Path) -> AsyncIterator[Monitoring]:
    """Run both, which scrape only themselves, at a minute a second."""
    options = MonitoringOptions(targets={}, logs_directory=tmp_path, scale=60, webhook_url=listener.url)
    async with monitoring(options) as both:
        yield both


async def until_told(listener: Webhook, alert: str) -> str:
    """Wait for a notice, and return the receiver that got it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (notice := listener.first(alert, firing=True, since=0.0)) is None:
            await asyncio.sleep(0.05)
    return notice.receiver


@needs_prometheus
async def test_watchdog_and_absence_alerts_reach_their_receivers(running: Monitoring, listener: Webhook) -> None:
    """No process serves the order context here."""
    assert await until_told(listener, "ShopWatchdog") == "watchdog"
    assert await until_told(listener, "ShopOrderAbsent") == "ticket"


@needs_prometheus
async def test_a_changed_configuration_is_read(running: Monitoring) -> None:
    await running.reconfigure({**running.configuration, "scrape_configs": []})
    client = PrometheusClient(running.prometheus)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await client.instant("up"):  # a target that is no longer scraped is marked stale within an interval
            await asyncio.sleep(0.05)


@needs_prometheus
async def test_a_query_that_is_wrong_is_an_error_that_names_it(running: Monitoring) -> None:
    with pytest.raises(QueryFailed, match="shop_wrong"):
        await PrometheusClient(running.prometheus).instant("rate(shop_wrong)")


@pytest.mark.full
@needs_prometheus
@pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"there is no {PROGRAM} here: what `up` scrapes is unproven")
async def test_up_scrapes_the_embedded_postgresql(tmp_path: Path) -> None:
    options = PlatformOptions(run_directory=tmp_path, mode="monolith")
    async with (
        Platform.start(options) as platform,
        watched(platform, options) as addresses,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        client = PrometheusClient(urlsplit(addresses["Prometheus"]).netloc)
        while not await client.instant('pg_up{job="postgres"} == 1'):
            await asyncio.sleep(0.05)


def test_up_reports_a_missing_program_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(main, ["up", "--prometheus"])
    assert (result.exit_code, "apt-get install prometheus" in result.output) == (1, True)


def test_a_drill_of_an_unknown_alert_is_rejected_by_name() -> None:
    result = CliRunner().invoke(main, ["drill", "ShopNoSuchAlert"])
    assert (result.exit_code, "ShopNoSuchAlert" in result.output) == (2, True)

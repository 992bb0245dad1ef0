"""Tests of the rules on a real platform, from a counter's first sample to the webhook."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from observability.testbed.monitoring.servers import (
    ALERTMANAGER,
    PROMETHEUS,
    MonitoringOptions,
    find_program,
    monitoring,
)
from observability.testbed.monitoring.webhook import Notice, Webhook, webhook
from services.local.platform.platform import Platform
from tests.dashboards.promql import Selector, selectors
from tests.patience import PATIENCE_SECONDS
from tests.rules.conftest import running
from tests.rules.rules import committed_rules
from tests.rules.test_names import series_names

pytestmark = [
    pytest.mark.full,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        not (find_program(PROMETHEUS) and find_program(ALERTMANAGER)),
        reason="there is no prometheus or prometheus-alertmanager here: what they do with our rules stays unproven",
    ),
]

OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "=~": lambda value, wanted: bool(re.fullmatch(wanted, value)),
    "!~": lambda value, wanted: not re.fullmatch(wanted, value),
}
TARGET_LABELS = {"job", "instance"}


def counters_read() -> Iterator[Selector]:
    """Yield each selector of a rule that takes the rate of a series of ours."""
    ours = series_names()
    for rule in committed_rules():
        for selector in selectors(rule["expr"]):
            if selector.of_growth and selector.name in ours:
                yield selector


def matches(sample: Sample, selector: Selector) -> bool:
    """Say whether a selector selects a sample, whatever job and instance it will be given."""
    return sample.name == selector.name and all(
        OPERATORS[operator](sample.labels.get(label, ""), value)
        for label, operator, value in selector.matchers
        if label not in TARGET_LABELS
    )


async def notified(hook: Webhook, alert: str, *, firing: bool, since: float) -> Notice:
    """Wait until the webhook gets the notification; fail when it does not come in time."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        if notice := hook.first(alert, firing=firing, since=since):
            return notice
        await asyncio.sleep(0.1)
    pytest.fail(f"{alert}, firing={firing}, was not notified; notices were {[n.alert for n in hook.notices]}")


async def knows_alertmanager(prometheus: str) -> None:
    """Wait until Prometheus knows an Alertmanager: it discovers it after 5 s; earlier alerts go out a minute later."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with session.get(f"http://{prometheus}/api/v1/alertmanagers") as page:
                if (await page.json())["data"]["activeAlertmanagers"]:
                    return
            await asyncio.sleep(0.1)


async def test_counters_that_rules_read_exist_from_the_start(tmp_path: Path) -> None:
    """A counter that is born at 1 has no increase: its first event would be missed."""
    samples: list[Sample] = []
    async with running("services", tmp_path, replicas=1) as platform, aiohttp.ClientSession() as session:
        for admin in set(platform.endpoints.admin.values()):
            async with session.get(f"http://{admin}/metrics") as page:
                families = text_string_to_metric_families(await page.text())
            samples.extend(sample for family in families for sample in family.samples)
    read = list(counters_read())
    missing = {selector for selector in read if not any(matches(sample, selector) for sample in samples)}
    assert read
    assert missing == set()


async def test_a_stopped_service_fires_and_resolves_an_alert(platform: Platform, tmp_path: Path) -> None:
    """A stopped process keeps its port open and does not answer; all windows are 60 times shorter."""
    (admin,) = set(platform.endpoints.admin.values())
    pid = platform.endpoints.service_pids["monolith"]
    async with webhook() as hook:
        options = MonitoringOptions(
            targets={"monolith": admin}, logs_directory=tmp_path, scale=60, webhook_url=hook.url
        )
        async with monitoring(options) as running:
            await knows_alertmanager(running.prometheus)
            stopped = time.monotonic()
            os.kill(pid, signal.SIGSTOP)
            try:
                down = await notified(hook, "ShopServiceDown", firing=True, since=stopped)
            finally:
                os.kill(pid, signal.SIGCONT)
            assert (down.receiver, dict(down.labels)["job"]) == ("ticket", "monolith")
            await notified(hook, "ShopServiceDown", firing=False, since=down.seconds)

"""What can go wrong with what watches? A target is forgotten, a rule is wrong, an alert is not taken."""

import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from observability.alert_drill.fault_context import Begin, FaultContext
from services.local.servers.ports import free_port, local_address

# Two series on each side: Prometheus cannot tell which belongs to which.
WRONG_RULE = {"groups": [{"name": "wrong", "rules": [{"record": "shop:wrong:ratio", "expr": "up / on () up"}]}]}


def forgotten(job: str) -> Begin:
    """Somebody takes a job out of the configuration."""

    @asynccontextmanager
    async def begin(scene: FaultContext) -> AsyncIterator[None]:
        changed = _copy(scene)
        changed["scrape_configs"] = [each for each in changed["scrape_configs"] if each["job_name"] != job]
        async with _configured(scene, changed):
            yield

    return begin


@asynccontextmanager
async def wrong_rule(scene: FaultContext) -> AsyncIterator[None]:
    """Somebody adds a rule that passes every check and cannot be evaluated."""
    path = scene.monitoring.folder / "rules" / "wrong.rules.yml"
    path.write_text(json.dumps(WRONG_RULE))
    try:
        async with _configured(scene, _copy(scene)):
            yield
    finally:
        path.unlink()
        await scene.monitoring.reconfigure(scene.monitoring.configuration)


@asynccontextmanager
async def alertmanager_gone(scene: FaultContext) -> AsyncIterator[None]:
    """One of two Alertmanagers is not there any more."""
    changed = _copy(scene)
    changed["alerting"]["alertmanagers"].append({"static_configs": [{"targets": [str(local_address(free_port()))]}]})
    async with _configured(scene, changed):
        yield


@asynccontextmanager
async def notifications_refused(scene: FaultContext) -> AsyncIterator[None]:
    """One of the addresses that Alertmanager tells takes nothing."""
    scene.webhook.refuses = lambda receiver: receiver == "watchdog"
    try:
        yield
    finally:
        scene.webhook.refuses = lambda _receiver: False


@asynccontextmanager
async def nothing_wrong(_scene: FaultContext) -> AsyncIterator[None]:
    """The alert that always fires needs no fault."""
    yield


def _copy(scene: FaultContext) -> dict[str, Any]:
    return cast(dict[str, Any], copy.deepcopy(scene.monitoring.configuration))


@asynccontextmanager
async def _configured(scene: FaultContext, changed: dict[str, Any]) -> AsyncIterator[None]:
    await scene.monitoring.reconfigure(changed)
    try:
        yield
    finally:
        await scene.monitoring.reconfigure(scene.monitoring.configuration)

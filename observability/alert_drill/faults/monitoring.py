"""Faults of the monitoring: a missing scrape job, a wrong rule, or a rejected notification."""

import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from observability.alert_drill.fault_context import Begin, FaultContext
from services.local.servers.ports import free_port, local_address

# Two series on each side, which Prometheus cannot match.
WRONG_RULE = {"groups": [{"name": "wrong", "rules": [{"record": "shop:wrong:ratio", "expr": "up / on () up"}]}]}


def job_removed(job: str) -> Begin:
    """Return a fault that removes a scrape job from the configuration."""

    @asynccontextmanager
    async def begin(context: FaultContext) -> AsyncIterator[None]:
        changed = _copy(context)
        changed["scrape_configs"] = [each for each in changed["scrape_configs"] if each["job_name"] != job]
        async with _configured(context, changed):
            yield

    return begin


@asynccontextmanager
async def wrong_rule(context: FaultContext) -> AsyncIterator[None]:
    """Add a rule that passes every check and cannot be evaluated."""
    path = context.monitoring.folder / "rules" / "wrong.rules.yml"
    path.write_text(json.dumps(WRONG_RULE))
    try:
        async with _configured(context, _copy(context)):
            yield
    finally:
        path.unlink()
        await context.monitoring.reconfigure(context.monitoring.configuration)


@asynccontextmanager
async def alertmanager_gone(context: FaultContext) -> AsyncIterator[None]:
    """Add a second Alertmanager that does not exist."""
    changed = _copy(context)
    changed["alerting"]["alertmanagers"].append({"static_configs": [{"targets": [str(local_address(free_port()))]}]})
    async with _configured(context, changed):
        yield


@asynccontextmanager
async def notifications_refused(context: FaultContext) -> AsyncIterator[None]:
    """Make one of Alertmanager's receivers reject every notification."""
    context.webhook.refuses = lambda receiver: receiver == "watchdog"
    try:
        yield
    finally:
        context.webhook.refuses = lambda _receiver: False


@asynccontextmanager
async def no_fault(_context: FaultContext) -> AsyncIterator[None]:
    """Do nothing, since ShopWatchdog always fires."""
    yield


def _copy(context: FaultContext) -> dict[str, Any]:
    return cast(dict[str, Any], copy.deepcopy(context.monitoring.configuration))


@asynccontextmanager
async def _configured(context: FaultContext, changed: dict[str, Any]) -> AsyncIterator[None]:
    await context.monitoring.reconfigure(changed)
    try:
        yield
    finally:
        await context.monitoring.reconfigure(context.monitoring.configuration)

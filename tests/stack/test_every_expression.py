"""Checks that every expression of dashboards and rules finds data, and values other than 0 under faults."""

import itertools
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from observability.alert_drill.drill import run_lanes
from observability.alert_drill.environment import DrillEnvironment, DrillOptions
from observability.alert_drill.expressions import Expressions
from observability.alert_drill.faults.database import closed, deadlock, log_emptied
from observability.alert_drill.faults.registry import FAULTS, Fault
from observability.alert_drill.faults.traffic import orders_cancelled
from observability.testbed.monitoring import exporter
from observability.testbed.monitoring.servers import ALERTMANAGER, PROMETHEUS, find_program
from tests.stack.conftest import Measured

EXCEPTIONS = Path(__file__).parent / "exceptions.yml"
MOST_EXCEPTIONS = 11
# A slow machine passes a listener's limits on time; whether a read goes to the replica depends on what the cache has.
DEPENDS_ON_SPEED = ("shop-service/35", "shop-dependencies/301", "shop-dependencies/302", "shop-dependencies/401")
SECONDS_EACH = 5.0
# On a slow machine a fault may end before its effect is scraped twice: all are repeated until nothing is left to see.
MOST_SECONDS = 1200.0
# Books are looked at once a minute, an age must grow, what is sent is given up after ten seconds, and few calls are in
# flight when their connection is cut.
LONGER = {
    "ShopInvariantViolated": 62.0,
    "ShopReadModelStale": 33.0,
    "ShopSpansDropped": 18.0,
    "ShopAlertSendingFailing": 15.0,
    "ShopAlertmanagerNotifyingFailing": 20.0,
    "ShopCallsRepeated": 15.0,
}
# They run side by side, as each lane touches a part of its own: inventory's books, the read model, the monitoring, and
# notification. All other faults follow one after the other.
LANES = (
    ("ShopInvariantViolated",),
    ("ShopReadModelStale",),
    ("ShopSpansDropped", "ShopRuleEvaluationFailing", "ShopAlertSendingFailing", "ShopAlertmanagerNotifyingFailing"),
    (
        "ShopServiceDown",
        "ShopEventLoopLagging",
        "ShopRunQueueWaiting",
        "ShopConsumerLagging",
        "ShopWorkerFailing",
        "ShopWorkerEnded",
        "ShopNotificationBacklog",
    ),
)
# An alert's expression finds nothing unless it fires; it must be valid here, and `plumb drill` makes each one fire.
ALERT = re.compile(r"\.rules\.yml Shop")
# They take long to show, and what they show others show too.
LEFT_OUT = {"ShopCpuSaturated", "ShopMemoryHigh", "ShopPoolWaiting", "ShopSpanExportFailing", "ShopScrapeFailing"}
MORE = (
    Fault("", "customers change their minds", orders_cancelled),
    Fault("", "the database `inventory` takes no connections", closed("inventory")),
    Fault("", "the event log is emptied", log_emptied),
    Fault("", "two transactions lock each other out", deadlock),
)


@pytest.mark.timeout(2400)
@pytest.mark.skipif(
    not all(find_program(names) for names in (PROMETHEUS, ALERTMANAGER, (exporter.PROGRAM,))),
    reason=f"there is no prometheus, prometheus-alertmanager or {exporter.PROGRAM} here: no expression is executed",
)
async def test_every_expression_finds_data_and_something(tmp_path: Path, measured: Measured) -> None:
    """Under load, with one fault after the other. What does not is listed with a reason, and nothing else is."""
    options = DrillOptions(folder=tmp_path, scale=60, rate_per_second=8, healthy_seconds=0, seed=1)
    by_alert = {fault.alert: fault for fault in FAULTS}
    beside = [[timed(by_alert[alert]) for alert in lane] for lane in LANES]
    listed = {alert for lane in LANES for alert in lane} | LEFT_OUT
    alone = [timed(fault) for fault in (*MORE, *FAULTS) if fault.alert not in listed]
    exceptions = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))
    asked = Expressions.of_platform(scale=options.scale)
    async with DrillEnvironment.open(options) as environment:
        until = time.monotonic() + MOST_SECONDS
        for lanes in itertools.cycle((beside, [alone])):
            await run_lanes(environment, lanes, asked, say=print)
            if not unexplained(asked, exceptions) or time.monotonic() > until:
                break
    measured(f"{len(asked.where)} expressions, {len(asked.with_data)} with data, {len(asked.not_zero)} not always 0")
    for text, reason in exceptions.items():
        measured(f"nothing for {text}: {reason}")
    left = unexplained(asked, exceptions)
    assert not left, "\n".join(left)
    needless = [place for place in exceptions if not any(place in each for each in empty(asked))]
    assert [place for place in needless if place not in DEPENDS_ON_SPEED] == []
    assert len(exceptions) <= MOST_EXCEPTIONS


def timed(fault: Fault) -> tuple[Fault, float]:
    """Return a fault and how long it lasts."""
    return fault, LONGER.get(fault.alert, SECONDS_EACH)


def empty(asked: Expressions) -> list[str]:
    """Return the expressions that found no data, or only 0, but for those of alerts."""
    found = asked.as_document()
    return [each for each in (*found["without_data"], *found["always_zero"]) if not ALERT.search(each)]


def unexplained(asked: Expressions, exceptions: Mapping[str, str]) -> list[str]:
    """Return the empty expressions that no exception lists."""
    return [each for each in empty(asked) if not any(place in each for place in exceptions)]

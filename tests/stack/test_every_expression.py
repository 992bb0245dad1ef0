"""Checks that every expression of dashboards and rules finds data, and values other than 0 under faults."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from observability.alert_drill.drill import run_sequence
from observability.alert_drill.environment import DrillEnvironment, DrillOptions
from observability.alert_drill.expressions import Expressions
from observability.alert_drill.faults.database import closed, deadlock, log_emptied
from observability.alert_drill.faults.registry import FAULTS, Fault
from observability.alert_drill.faults.traffic import orders_cancelled
from observability.testbed.monitoring import exporter
from observability.testbed.monitoring.servers import ALERTMANAGER, PROMETHEUS, find_program
from tests.stack.conftest import Measured

EXCEPTIONS = Path(__file__).parent / "exceptions.yml"
MOST_EXCEPTIONS = 9
SECONDS_EACH = 5.0
# Books are looked at once a minute, an age must grow, and what is sent is given up after ten seconds.
LONGER = {
    "ShopInvariantViolated": 62.0,
    "ShopReadModelStale": 33.0,
    "ShopSpansDropped": 18.0,
    "ShopAlertSendingFailing": 15.0,
    "ShopAlertmanagerNotifyingFailing": 20.0,
}
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


@pytest.mark.timeout(1500)
@pytest.mark.skipif(
    not all(find_program(names) for names in (PROMETHEUS, ALERTMANAGER, (exporter.PROGRAM,))),
    reason=f"there is no prometheus, prometheus-alertmanager or {exporter.PROGRAM} here: no expression is executed",
)
async def test_every_expression_finds_data_and_something(tmp_path: Path, measured: Measured) -> None:
    """Under load, with one fault after the other. What does not is listed with a reason, and nothing else is."""
    options = DrillOptions(folder=tmp_path, scale=60, rate_per_second=8, healthy_seconds=0, seed=1)
    faults = [
        (fault, LONGER.get(fault.alert, SECONDS_EACH)) for fault in (*MORE, *FAULTS) if fault.alert not in LEFT_OUT
    ]
    exceptions = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))
    asked = Expressions.of_platform(scale=options.scale)
    async with DrillEnvironment.open(options) as environment:
        await run_sequence(environment, faults, asked, say=print)
        # On a slow machine a fault may end before its effect is scraped twice.
        if unexplained(asked, exceptions):
            await run_sequence(environment, faults, asked, say=print)
    measured(f"{len(asked.where)} expressions, {len(asked.with_data)} with data, {len(asked.not_zero)} not always 0")
    for text, reason in exceptions.items():
        measured(f"nothing for {text}: {reason}")
    left = unexplained(asked, exceptions)
    assert not left, "\n".join(left)
    needless = [place for place in exceptions if not any(place in each for each in empty(asked))]
    # A slow machine may pass a listener's limits on time.
    assert [place for place in needless if "listener" not in exceptions[place]] == []
    assert len(exceptions) <= MOST_EXCEPTIONS


def empty(asked: Expressions) -> list[str]:
    """Return the expressions that found no data, or only 0, but for those of alerts."""
    found = asked.as_document()
    return [each for each in (*found["without_data"], *found["always_zero"]) if not ALERT.search(each)]


def unexplained(asked: Expressions, exceptions: Mapping[str, str]) -> list[str]:
    """Return the empty expressions that no exception lists."""
    return [each for each in empty(asked) if not any(place in each for place in exceptions)]

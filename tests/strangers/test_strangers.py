"""Live systems that others wrote: the diagnosis names their known bottlenecks.

What was recorded is kept in out/strangers, so that a later diagnosis is judged on the same runs; remove it to record
anew. Building and recording all takes about an hour.
"""

from pathlib import Path

import pytest

from tests.strangers.judge import judge, reaches_goals, summary, table
from tests.strangers.record import record
from tests.strangers.settings import Setting, read_settings

RECORDED = Path(__file__).parents[2] / "out/strangers"


# The first setting of a system builds it.
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("setting", read_settings(), ids=lambda setting: setting.name)
def test_a_setting_is_recorded(setting: Setting) -> None:
    if not (RECORDED / setting.name).exists():
        record(setting, RECORDED)
    assert (RECORDED / setting.name / "traces.jsonl").stat().st_size


def test_most_verdicts_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    found = judge(RECORDED, read_settings())
    if not found:
        pytest.skip("nothing is recorded")
    with capsys.disabled():
        print("", *table(found), "", *summary(found), sep="\n")  # noqa: T201 - its result
    assert reaches_goals(found), "fewer verdicts are right than the goal: see the table above"

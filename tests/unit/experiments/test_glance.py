"""Rejection of `--glance` for an experiment whose rate does not follow from the measured capacity."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from observability.experiments.experiment import HEALTHY, Demand, Setting
from observability.experiments.runner.artifacts import GLANCE
from observability.experiments.runner.errors import TrialError
from observability.experiments.runner.testbed import Testbed
from observability.experiments.runner.trial import Trial
from tests.unit.experiments.making import TRUTH, experiment


@pytest.mark.parametrize(
    "demand", [Demand(utilisation=1.5), Demand(utilisation=0.5, looked_at=40)], ids=["overload", "looks"]
)
async def test_a_glance_at_a_goodput_experiment_is_rejected(demand: Demand, tmp_path: Path) -> None:
    setting = Setting(place="somewhere", before=HEALTHY, after=HEALTHY, demand=demand, truth=TRUTH)
    tried = replace(experiment(), draw=lambda _source: setting)
    trial = Trial(tried, testbed=cast(Testbed, None), seed=1, sizes=GLANCE, path=tmp_path, environment={})
    with pytest.raises(TrialError, match="line_by_line has no rate that follows from the capacity: omit --glance"):
        await trial.run()

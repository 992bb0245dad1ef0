"""Experiment healthy: there is no bottleneck, and the diagnosis must say so."""

import random

from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting


def draw(source: random.Random) -> Setting:
    """Draw the utilisation and the largest number of lines."""
    return Setting(
        place="nothing changed",
        before=HEALTHY,
        after=HEALTHY,
        demand=Demand(utilisation=source.uniform(0.2, 0.5), lines=(1, source.randint(6, 20))),
        truth=None,
    )


EXPERIMENT = Experiment(
    name="healthy",
    kind=ExperimentKind.NEGATIVE,
    hypothesis="There is no bottleneck.",
    fix="None.",
    symptoms=("the objectives are met", "nothing is saturated"),
    owner_alert="none",
    owner_alert_because="Nothing is wrong.",
    draw=draw,
)

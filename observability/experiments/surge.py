"""Experiment surge: more orders arrive for a third of the time, and the platform has the capacity."""

import random

from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting


def draw(source: random.Random) -> Setting:
    """Draw the utilisation, and the factor of the surge."""
    return Setting(
        place="more orders in the middle third",
        before=HEALTHY,
        after=HEALTHY,
        demand=Demand(utilisation=source.uniform(0.2, 0.35), surge=source.uniform(1.3, 1.7)),
        truth=None,
    )


EXPERIMENT = Experiment(
    name="surge",
    kind=ExperimentKind.NEGATIVE,
    hypothesis="More orders than usual arrive, and there is no bottleneck.",
    fix="None.",
    symptoms=("the rate rises", "latency hardly changes"),
    owner_alert="none",
    owner_alert_because="The platform has room for the surge.",
    draw=draw,
)

"""Surge within capacity: for a third of the time there are more orders, and the platform keeps up."""

import random

from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting


def draw(source: random.Random) -> Setting:
    """Draw how busy it is, and how much more comes in the middle."""
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
    hypothesis="More orders come than usual, and there is no bottleneck.",
    fix="None.",
    symptoms=("the rate rises", "latency hardly follows"),
    owner_alert="none",
    owner_alert_because="The platform has room for the surge.",
    draw=draw,
)

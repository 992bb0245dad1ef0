"""Overload without admission control: more orders come than can be done, all are let in, and many come to nothing."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Metric, Setting, Truth, Variant
from observability.testbed.guard_settings import GUARDED, UNGUARDED


def draw(source: random.Random) -> Setting:
    """Draw how many times as many orders come as the platform can do, and how many lines they have."""
    factor, most_lines = source.uniform(1.5, 3.0), source.randint(20, 60)
    return Setting(
        place=f"{factor:.1f} times as many orders as can be done, of up to {most_lines} lines, and each is let in",
        before=Variant(environment={"*": UNGUARDED}),
        after=Variant(environment={"*": GUARDED}),
        demand=Demand(utilisation=factor, lines=(1, most_lines)),
        truth=Truth(Bottleneck.OVERLOAD, "order"),
    )


EXPERIMENT = Experiment(
    name="overload",
    kind=ExperimentKind.BOTTLENECK,
    metric=Metric.GOODPUT,
    hypothesis="Every order is let in, all share a processor that has time for a part of them, and most come too late.",
    fix="Turn away at the door what cannot be done in time.",
    symptoms=("the processor works all the time", "answers come when nobody waits for them any more, or say no late"),
    owner_alert="none",
    owner_alert_because="Those of all that is waited for go off, and none says that it is asked too much.",
    draw=draw,
    warm_up_seconds=6.0,
)

"""Experiment overload: more orders arrive than can be processed, all are admitted, and many get no useful answer."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Metric, Setting, Truth, Variant
from observability.testbed.overload_protection import PROTECTED, UNPROTECTED


def draw(source: random.Random) -> Setting:
    """Draw the offered load as a multiple of the capacity, and the number of lines."""
    factor, most_lines = source.uniform(1.5, 3.0), source.randint(20, 60)
    return Setting(
        place=f"{factor:.1f} times as many orders as can be done, of up to {most_lines} lines, and each is let in",
        before=Variant(environment={"*": UNPROTECTED}),
        after=Variant(environment={"*": PROTECTED}),
        demand=Demand(utilisation=factor, lines=(1, most_lines)),
        truth=Truth(Bottleneck.OVERLOAD, "order"),
    )


EXPERIMENT = Experiment(
    name="overload",
    kind=ExperimentKind.BOTTLENECK,
    metric=Metric.GOODPUT,
    hypothesis="All orders are admitted and share a processor that can handle only a part of them; most are late.",
    fix="Reject at admission what cannot be completed in time.",
    symptoms=("the processor is always busy", "answers come after the deadline, and rejections come late"),
    owner_alert="none",
    owner_alert_because="Alerts on every wait fire, and none names the offered load as the cause.",
    draw=draw,
    warm_up_seconds=6.0,
)

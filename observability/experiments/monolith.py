"""The price of the hop: the same code as three services and as one process, when nothing is wrong with either."""

import random

from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting, Variant


def draw(source: random.Random) -> Setting:
    """Draw how busy the services get, and how many lines an order has: one process then has the same orders."""
    return Setting(
        place="three services, then one process",
        before=HEALTHY,
        after=Variant(mode="monolith"),
        demand=Demand(utilisation=source.uniform(0.3, 0.5), lines=(1, source.randint(4, 12))),
        truth=None,
    )


EXPERIMENT = Experiment(
    name="monolith",
    kind=ExperimentKind.MEASUREMENT,
    hypothesis="Calls between processes have a price, in the time of an answer and of the processor.",
    fix="None: whether its price is worth what a boundary gives is not for a diagnosis to say.",
    symptoms=("an order takes two calls of inventory", "each has a client, a wire and a server that work for it"),
    owner_alert="none",
    owner_alert_because="Nothing is wrong.",
    draw=draw,
)

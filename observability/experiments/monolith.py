"""Experiment monolith: the cost of calls between processes, by running the same code as three services and as one."""

import random

from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting, Variant


def draw(source: random.Random) -> Setting:
    """Draw the services' utilisation and the number of lines; the one process gets the same orders."""
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
    hypothesis="Calls between processes cost latency and processor time.",
    fix="None: whether a service boundary is worth its cost is not a question of diagnosis.",
    symptoms=(
        "an order makes two calls of inventory",
        "each call costs work in the client, the network and the server",
    ),
    owner_alert="none",
    owner_alert_because="Nothing is wrong.",
    draw=draw,
)

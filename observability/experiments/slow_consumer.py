"""Slow consumer: the events of orders are taken up late, as late all the time, and no answer waits for that."""

import random

from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting, Variant
from observability.network.proxy import Delay

# By what is slow: between whom the network is, whose setting the pool is, and its name.
PLACES = {
    "the read model": ("order-read_database", "order", "ORDER_READ_DATABASE_POOL_SIZE"),
    "notification": ("notification-database", "notification", "NOTIFICATION_DATABASE_POOL_SIZE"),
}
# A worker holds a connection all the time, whether many orders come or few. Of so many it is a small share, as it is of
# the processor, and the probe does not take it for what the orders ask.
POOL_SIZE = "24"


def draw(source: random.Random) -> Setting:
    """Draw which consumer has its database far away, how far, and how busy it gets.

    A batch of events takes five to seven ways there and back, so that an event takes effect about a second after it
    happened, and at the start, while connections are opened, up to three: the objective for the read model is 30 s.
    """
    place = source.choice(sorted(PLACES))
    between, service, pool = PLACES[place]
    milliseconds = source.uniform(40.0, 80.0)
    return Setting(
        place=f"the database of {place} is {milliseconds:.0f} ms away",
        before=Variant(
            environment={service: {pool: POOL_SIZE}}, network={between: Delay(latency_seconds=milliseconds / 1e3)}
        ),
        after=HEALTHY,
        demand=Demand(utilisation=source.uniform(0.25, 0.45)),
        truth=None,
    )


EXPERIMENT = Experiment(
    name="slow_consumer",
    kind=ExperimentKind.NEGATIVE,
    hypothesis="A consumer takes a hundred times as long for an event, keeps up all the same, and nobody waits for it.",
    fix="None: what it shows is as fresh as was promised.",
    symptoms=("the spans of consuming are long", "the oldest event is as old as a batch takes, and grows no older"),
    owner_alert="none",
    owner_alert_because="The age of the oldest event stays far below 30 s.",
    draw=draw,
)

"""Experiment slow consumer: events are consumed with a constant delay, for which no answer waits."""

import random

from observability.experiments.experiment import HEALTHY, Demand, Experiment, ExperimentKind, Setting, Variant
from observability.network.proxy import Delay

# By consumer: the neighbours with the network between them, the service, and the setting of its pool.
PLACES = {
    "the read model": ("order-read_database", "order", "ORDER_READ_DATABASE_POOL_SIZE"),
    "notification": ("notification-database", "notification", "NOTIFICATION_DATABASE_POOL_SIZE"),
}
# A worker holds one connection at any load. In a pool of this size it is a small share, so that the calibration does
# not mistake it for the load of the orders.
POOL_SIZE = "24"


def draw(source: random.Random) -> Setting:
    """Draw the consumer, its database's latency, and the utilisation.

    A batch of events takes five to seven round trips, so an event takes effect after about a second, or up to three at
    the start while connections are opened. The objective of the read model is 30 s.
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
    hypothesis="A consumer takes a hundred times longer for an event, but keeps up, and no answer waits for it.",
    fix="None: the read model is as fresh as its objective requires.",
    symptoms=("the consumers' spans are long", "the age of the oldest event stays at the duration of a batch"),
    owner_alert="none",
    owner_alert_because="The age of the oldest event stays far below 30 s.",
    draw=draw,
)

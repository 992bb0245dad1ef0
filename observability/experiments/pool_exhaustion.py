"""Pool exhaustion: a service has so few connections to its database that its requests queue for them."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.network.proxy import Delay

# Whose pool: its setting, how many seconds away the database is at least and at most, and how busy it gets. Order has
# fewer statements in a transaction: its database is farther away and its pool is busier, so that the queue is one that
# an alert tells of.
PLACES = {
    "inventory": ("INVENTORY_DATABASE_POOL_SIZE", (0.0015, 0.0025), (0.68, 0.78)),
    "order": ("ORDER_DATABASE_POOL_SIZE", (0.005, 0.006), (0.76, 0.82)),
}


def draw(source: random.Random) -> Setting:
    """Draw whose pool it is, how far away its database is, and how busy its one connection gets.

    On one machine a connection is held while the processor works, and a request that need not queue for the one queues
    for the other. With the database in another building it is held while nobody works.
    """
    service = source.choice(sorted(PLACES))
    pool_size, away_seconds, utilisation = PLACES[service]
    network = {f"{service}-database": Delay(latency_seconds=source.uniform(*away_seconds))}
    return Setting(
        place=f"one connection in the pool of {service}, whose database is milliseconds away",
        before=Variant(environment={service: {pool_size: "1"}}, network=network),
        after=Variant(network=network),
        demand=Demand(utilisation=source.uniform(*utilisation)),
        truth=Truth(Bottleneck.POOL, service),
    )


EXPERIMENT = Experiment(
    name="pool_exhaustion",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="Requests wait for a connection much longer than they hold one.",
    fix="Give the pool the connections that its load needs.",
    symptoms=("requests wait for a connection", "connections are held no longer than usual"),
    owner_alert="ShopPoolWaiting",
    owner_alert_because="A connection takes more than 50 ms to get on average.",
    draw=draw,
    collateral={
        "ShopPoolExhausted": "Where a seed draws a long queue, some give up after a second in it.",
        "ShopOrderPlacementSlow": "Each order waits more than once, and one that takes half a second is too slow.",
        "ShopOrderPlacementErrors": "Who gives up has an order that is answered 503.",
    },
)

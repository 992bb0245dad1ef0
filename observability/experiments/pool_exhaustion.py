"""Experiment pool exhaustion: a service has too few database connections, and its requests queue for them."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.network.proxy import Delay

# By service: its setting, the range of the database's latency in seconds, and the range of the utilisation. Order has
# fewer statements in a transaction, so its latency and utilisation are higher: the queue must be long enough for an
# alert.
PLACES = {
    "inventory": ("INVENTORY_DATABASE_POOL_SIZE", (0.0015, 0.0025), (0.68, 0.78)),
    "order": ("ORDER_DATABASE_POOL_SIZE", (0.005, 0.006), (0.76, 0.82)),
}


def draw(source: random.Random) -> Setting:
    """Draw the service, its database's latency, and the utilisation of its only connection.

    With the database on the same machine, a connection is held while the processor works, so that a request without a
    queue for the connection queues for the processor. With a remote database the connection is held while the processor
    is idle.
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
        "ShopPoolExhausted": "With a long queue some requests time out after a second in it.",
        "ShopOrderPlacementSlow": "Each order waits more than once, and half a second is already too slow.",
        "ShopOrderPlacementErrors": "An order that times out in the queue is answered with 503.",
    },
)

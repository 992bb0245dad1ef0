"""Pool exhaustion: a service has so few connections to its database that its requests queue for them."""

import random

from observability.analysis.bottleneck import Bottleneck
from observability.lab.experiments.experiment import Demand, Experiment, Kind, Setting, Truth, Variant
from observability.lab.proxy import Delay

POOLS = {"inventory": "INVENTORY_DATABASE_POOL_SIZE", "order": "ORDER_DATABASE_POOL_SIZE"}


def draw(source: random.Random) -> Setting:
    """Draw whose pool it is, how far away its database is, and how busy its one connection gets.

    On one machine a connection is held while the processor works, and a request that need not queue for the one queues
    for the other. With the database in another building it is held while nobody works.
    """
    service = source.choice(sorted(POOLS))
    network = {f"{service}-database": Delay(latency_seconds=source.uniform(0.0015, 0.0025))}
    return Setting(
        place=f"one connection in the pool of {service}, whose database is milliseconds away",
        before=Variant(environment={service: {POOLS[service]: "1"}}, network=network),
        after=Variant(network=network),
        demand=Demand(utilisation=source.uniform(0.65, 0.8)),
        truth=Truth(Bottleneck.POOL, service),
    )


EXPERIMENT = Experiment(
    name="pool_exhaustion",
    kind=Kind.BOTTLENECK,
    hypothesis="Requests wait for a connection much longer than they hold one.",
    fix="Give the pool the connections that its load needs.",
    symptoms=("requests wait for a connection", "connections are held no longer than usual"),
    owner_alert="ShopPoolExhausted",
    owner_alert_because="All connections of a pool are in use and callers wait.",
    draw=draw,
    collateral={"ShopPoolWaiting": "The wait itself has an alert beside the exhaustion."},
)

"""Experiment hot shard: two big customers share one order database server, and orders queue for its connections.

The servers share this machine's processors, so that a full processor would slow both of them. So each server has few
connections and is milliseconds away: the queue is at the server with the customers, and the processors stay idle.
"""

import random
from dataclasses import replace
from uuid import UUID

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from observability.network.proxy import Delay
from services.order.domain.logical_shard import logical_shard_of
from services.order.domain.shard_map import spread

SERVERS = 2
HOT_CUSTOMERS = 2
# The relay and the saga worker of a server hold one of its connections for a third of the time, with or without orders.
CONNECTIONS = 2


def draw(source: random.Random) -> Setting:
    """Draw the server, its two big customers and their share of the orders, the latency, and the utilisation."""
    hot, share = source.randrange(SERVERS), source.uniform(0.55, 0.65)
    customers = draw_customers(source, hot)
    logical_shard, server = logical_shard_of(customers[-1]), 1 - hot
    away_seconds = source.uniform(0.004, 0.005)
    before = Variant(
        environment={"order": {"ORDER_DATABASE_POOL_SIZE": str(CONNECTIONS)}},
        network={"order-database": Delay(latency_seconds=away_seconds)},
        shards=SERVERS,
    )
    return Setting(
        place=(
            f"server {hot} of {SERVERS}, {away_seconds * 1e3:.1f} ms away, has two customers with {share:.0%} of all "
            f"orders; the fix moves one of them, in logical shard {logical_shard}, to server {server}"
        ),
        before=before,
        after=replace(before, moves=((logical_shard, server),)),
        demand=Demand(
            utilisation=source.uniform(0.7, 0.78),
            lines=(1, 6),
            hot_customers=tuple(str(customer) for customer in customers),
            hot_share=share,
        ),
        truth=Truth(Bottleneck.HOT_SHARD, "order"),
    )


def draw_customers(source: random.Random, server: int) -> list[UUID]:
    """Draw customers of different logical shards of one server."""
    first_map, chosen = spread(SERVERS, epoch=1), dict[int, UUID]()
    while len(chosen) < HOT_CUSTOMERS:
        customer = UUID(int=source.getrandbits(128), version=4)
        if first_map.server_of(customer) == server:
            chosen.setdefault(logical_shard_of(customer), customer)
    return list(chosen.values())


EXPERIMENT = Experiment(
    name="hot_shard",
    kind=ExperimentKind.BOTTLENECK,
    hypothesis="Orders of a few customers queue for one server of orders, while the other one is idle.",
    fix="Move the logical shard of one of these customers to the other server, with `plumb shards move`.",
    symptoms=("requests wait for a connection to one server", "the same statements are fast on the other"),
    owner_alert="none",
    owner_alert_because="No alert compares the servers; that of a full pool fires when the queue is long.",
    draw=draw,
    collateral={
        "ShopPoolWaiting": "A connection to the hot server may take more than 50 ms to get on average.",
        "ShopPoolExhausted": "With a long queue some requests time out after a second in it.",
        "ShopOrderPlacementSlow": "Each order waits more than once, and half a second is already too slow.",
    },
)

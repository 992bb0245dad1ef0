"""Experiment hot shard: two big customers share one order database server, and orders queue for its connections.

The servers share this machine's processors, so that a full processor would slow all of them. So two of them have a
processor limit, as containers have one: the queue is at the server with the customers, and the processors stay idle.
"""

import random
from dataclasses import replace
from uuid import UUID

from observability.analysis.bottleneck import Bottleneck
from observability.experiments.experiment import Demand, Experiment, ExperimentKind, Setting, Truth, Variant
from services.order.domain.logical_shard import logical_shard_of
from services.order.domain.shard_map import spread

# The first one has no limit, since it also has the databases of the other services.
SERVERS, LIMITED = 3, (1, 2)
# Each server gets one of them.
HOT_CUSTOMERS = SERVERS
# Processors of a limited server: so few that the machine does several times as much for the orders meanwhile.
PROCESSORS = 0.06


def draw(source: random.Random) -> Setting:
    """Draw the server, its three big customers and their share of the orders, and the utilisation."""
    hot, share = source.choice(LIMITED), source.uniform(0.7, 0.8)
    customers = draw_customers(source, hot)
    before = Variant(shards=SERVERS, processor_limits={f"postgres-{number}": PROCESSORS for number in LIMITED})
    others = [server for server in range(SERVERS) if server != hot]
    moves = tuple((logical_shard_of(customer), server) for customer, server in zip(customers[1:], others, strict=True))
    moved = " and ".join(f"{logical_shard} to server {server}" for logical_shard, server in moves)
    return Setting(
        place=(
            f"server {hot} of {SERVERS} has {PROCESSORS:g} of a processor, and {HOT_CUSTOMERS} customers with "
            f"{share:.0%} of all orders; the fix moves logical shard {moved}"
        ),
        before=before,
        after=replace(before, moves=moves),
        demand=Demand(
            utilisation=source.uniform(0.72, 0.78),
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
    hypothesis="Orders of a few customers fill the processor of one server of orders, while the others have room.",
    fix="Move the logical shards of some of these customers to other servers, with `plumb shards move`.",
    symptoms=("all statements of one server are slow", "the same statements are fast on the others"),
    owner_alert="none",
    owner_alert_because="No alert compares the servers; that of a full pool fires when the queue is long.",
    draw=draw,
    # Each connection's first statements cost the server several times as much as later ones.
    warm_up_seconds=6.0,
    collateral={
        "ShopPoolWaiting": "A connection to the hot server may take more than 50 ms to get on average.",
        "ShopPoolExhausted": "With a long queue some requests time out after a second in it.",
        "ShopOrderPlacementSlow": "Each order waits more than once, and half a second is already too slow.",
    },
)

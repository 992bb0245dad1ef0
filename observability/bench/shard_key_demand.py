"""Input of the shard-key benchmark: baskets from a file, each given a customer, a region and a time.

A file of codes has none of the three. The customer is drawn: of as many customers as *Online Retail* has, the r-th has
a share that falls with r^(-2/3). The region is the customer's, and drawn once: 91 % are in the United Kingdom, the
others in 37 countries, the r-th with a share that falls with 1/r. The time is the place in the file.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from uuid import UUID

from observability.load.orders import Basket
from services.order.domain.shard_map import ShardMap

CUSTOMERS = 4_372
CUSTOMER_EXPONENT = 2 / 3
HOME, HOME_SHARE = "United Kingdom", 0.91
OTHER_REGIONS = 37
KEYS = ("user", "region", "time")


@dataclass(frozen=True, slots=True)
class KeyedBasket:
    """A basket with what an order could be sharded by.

    lines: what is ordered.
    customer_id: who orders.
    region: where the customer is.
    time: place in the file, from 0 to below 1.
    """

    lines: Basket
    customer_id: UUID
    region: str
    time: float


def with_keys(baskets: Sequence[Basket], *, seed: int) -> list[KeyedBasket]:
    """Return the baskets of a file with drawn customers and regions, in the file's order."""
    chance = random.Random(seed)
    customers = [UUID(int=chance.getrandbits(128), version=4) for _ in range(CUSTOMERS)]
    weights = list(accumulate((rank + 1) ** -CUSTOMER_EXPONENT for rank in range(CUSTOMERS)))
    others = [f"country {rank + 1}" for rank in range(OTHER_REGIONS)]
    other_weights = list(accumulate(1 / (rank + 1) for rank in range(OTHER_REGIONS)))
    regions = {
        customer: HOME if chance.random() < HOME_SHARE else chance.choices(others, cum_weights=other_weights)[0]
        for customer in customers
    }
    buyers = chance.choices(customers, cum_weights=weights, k=len(baskets))
    return [
        KeyedBasket(lines, buyer, regions[buyer], number / len(baskets))
        for number, (lines, buyer) in enumerate(zip(baskets, buyers, strict=True))
    ]


def consecutive(baskets: Sequence[KeyedBasket], count: int, *, seed: int) -> Sequence[KeyedBasket]:
    """Return so many consecutive baskets, the first one drawn; all if there are no more."""
    first = random.Random(seed).randint(0, max(0, len(baskets) - count))
    return baskets[first : first + count]


def server_of(key: str, basket: KeyedBasket, shard_map: ShardMap) -> int:
    """Return the server that stores a basket's order under a key."""
    match key:
        case "user":
            return shard_map.server_of(basket.customer_id)
        case "region":
            return shard_map.servers[sha256(basket.region.encode()).digest()[0]]
        case "time":
            # The file's time in as many equal periods as there are servers.
            return int(basket.time * servers_in(shard_map))
    raise ValueError(f"unknown key {key}")


def servers_of_list(key: str, basket: KeyedBasket, shard_map: ShardMap) -> list[int]:
    """Return the servers that a customer's list must ask: a customer has one region, but orders at any time."""
    return list(range(servers_in(shard_map))) if key == "time" else [server_of(key, basket, shard_map)]


def servers_in(shard_map: ShardMap) -> int:
    """Return the number of servers of a map."""
    return max(shard_map.servers) + 1


def top_customer_share(baskets: Sequence[KeyedBasket]) -> float:
    """Return the share of the orders that the customer with the most orders has."""
    ((_, orders),) = Counter(basket.customer_id for basket in baskets).most_common(1)
    return orders / len(baskets)

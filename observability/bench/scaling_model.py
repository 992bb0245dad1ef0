"""Scaling model: throughput with 1, 2, ... order database servers, from the resources that one order needs.

Mean value analysis of a closed queueing network (Reiser and Lavenberg 1980): customers who each wait for an answer and
order again. Each server is a queue, the machine's processor is one that all share, and all else is a delay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

_HALVINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDemand:
    """What one order needs, in seconds.

    server_seconds: of a connection to its server of orders.
    processor_seconds: of the processor that all servers and services share; 0 where each has one of its own.
    delay_seconds: of what does not queue.
    """

    server_seconds: float
    processor_seconds: float
    delay_seconds: float


def orders_per_second(demand: OrderDemand, shares: Sequence[float], *, customers: int) -> float:
    """Return the throughput with this many customers; server i gets `shares[i]` of the orders, 1 in total."""
    stations = [demand.processor_seconds, *(share * demand.server_seconds for share in shares)]
    queued, throughput = [0.0] * len(stations), 0.0
    for present in range(1, customers + 1):
        seconds = [own * (1 + waiting) for own, waiting in zip(stations, queued, strict=True)]
        throughput = present / (demand.delay_seconds + sum(seconds))
        queued = [throughput * each for each in seconds]
    return throughput


def most_per_second(demand: OrderDemand, shares: Sequence[float]) -> float:
    """Return the throughput that no number of customers exceeds: that of the busiest server (utilisation law)."""
    return 1 / max(demand.processor_seconds, max(shares) * demand.server_seconds)


def with_delay_of(demand: OrderDemand, *, customers: int, measured_per_second: float) -> OrderDemand:
    """Return the demand with the delay that gives one server the measured throughput; 0 if no delay gives even less."""
    low, high = 0.0, customers / measured_per_second
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = orders_per_second(replace(demand, delay_seconds=middle), (1.0,), customers=customers)
        low, high = (middle, high) if found > measured_per_second else (low, middle)
    return replace(demand, delay_seconds=low)

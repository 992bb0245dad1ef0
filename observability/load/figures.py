"""Figures of a run: quantiles of its latencies, and rates as they are written."""

from collections.abc import Iterable
from dataclasses import dataclass

from observability.analysis.quantiles import quantile

# Half of the capacity leaves room for Poisson arrivals, large baskets and what else the machine does.
SHARE_OF_CAPACITY = 0.5


@dataclass(frozen=True, slots=True)
class Latencies:
    """Quantiles of latencies, in seconds."""

    count: int
    p50: float
    p95: float
    p99: float
    maximum: float


def latencies(seconds: Iterable[float]) -> Latencies | None:
    """Describe latencies in seconds; None when there are none."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    p50, p95, p99 = (quantile(ordered, share) for share in (0.50, 0.95, 0.99))
    return Latencies(len(ordered), p50, p95, p99, ordered[-1])


def rounded_down(per_second: float) -> float:
    """Round a rate down to a whole number from 10 on, to one decimal below."""
    return float(int(per_second)) if per_second >= 10 else int(per_second * 10) / 10

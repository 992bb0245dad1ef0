"""Which figures describe many latencies?"""

from collections.abc import Iterable
from dataclasses import dataclass

from observability.analysis.quantiles import quantile


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

"""Which figures describe many latencies?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


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


def quantile(ordered: Sequence[float], share: float) -> float:
    """Give the quantile at `share` (0 to 1) of sorted values, interpolated linearly between its two neighbours."""
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])

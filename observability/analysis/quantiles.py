"""Quantiles of values, and their distribution-free confidence intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Beyond so many standard deviations the terms of a binomial are too small to change a double.
_DEVIATIONS = 12


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of a confidence interval; None where there are too few values for that bound."""

    low: float | None
    high: float | None


def quantile(sorted_values: Sequence[float], q: float) -> float:
    """Return the quantile at q (0 to 1), interpolated linearly between neighbours; raises ValueError for no values."""
    if not sorted_values:
        raise ValueError("no values, no quantile")
    position = q * (len(sorted_values) - 1)
    below = int(position)
    above = min(below + 1, len(sorted_values) - 1)
    return sorted_values[below] + (position - below) * (sorted_values[above] - sorted_values[below])


def fewest_for(q: float, *, confidence: float = 0.95) -> int:
    """Return the number of values from which a quantile's interval has both bounds: p50 6, p95 72, p99 368."""
    return math.ceil(math.log((1 - confidence) / 2) / math.log(max(q, 1 - q)))


def quantile_interval(sorted_values: Sequence[float], q: float, *, confidence: float = 0.95) -> Interval:
    """Return the interval that covers the true quantile with at least this confidence, for any distribution.

    The number of n independent values below the true quantile is binomial(n, q). The bounds are the order statistics
    that leave at most (1 - confidence) / 2 on each side. Successive requests in a queue are not quite independent: the
    true interval is wider then.
    """
    count = len(sorted_values)
    tail = (1 - confidence) / 2
    cumulative = _binomial_cumulative(count, q)
    # The k-th smallest value is at most the quantile when at least k values lie below it, which fails with P(X <= k-1).
    low_rank = next((k for k, below in cumulative if below > tail), 0)
    high_rank = next((k for k, below in cumulative if below >= 1 - tail), count) + 1
    return Interval(
        low=sorted_values[low_rank - 1] if low_rank >= 1 else None,
        high=sorted_values[high_rank - 1] if high_rank <= count else None,
    )


def _binomial_cumulative(count: int, q: float) -> list[tuple[int, float]]:
    """Return (k, P(X <= k)) of a binomial for every k whose probability is not negligible."""
    if not 0 < q < 1:
        raise ValueError(f"a quantile must lie within 0 and 1, not at {q:g}")
    deviation = math.sqrt(count * q * (1 - q))
    first = max(0, int(count * q - _DEVIATIONS * (deviation + 1)))
    last = min(count, int(count * q + _DEVIATIONS * (deviation + 1)))
    total = 0.0
    cumulative = []
    for k in range(first, last + 1):
        total += math.exp(
            math.lgamma(count + 1)
            - math.lgamma(k + 1)
            - math.lgamma(count - k + 1)
            + k * math.log(q)
            + (count - k) * math.log1p(-q)
        )
        cumulative.append((k, total))
    return cumulative

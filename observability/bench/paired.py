"""Statistics of the benchmarks: means of blocks and ratios of paired blocks, with 95 % intervals."""

import math
from collections.abc import Sequence

from observability.analysis.comparison import Estimate, mean_of

CONFIDENCE = 0.95


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean with Student's 95 % interval, which is unbounded for a single value."""
    return mean_of(values, confidence=CONFIDENCE)


def paired_ratio(over: Sequence[float], under: Sequence[float]) -> Estimate:
    """Return the geometric mean of the paired ratios, with Student's 95 % interval of their logarithms."""
    logs = estimate([math.log(a / b) for a, b in zip(over, under, strict=True)])
    return Estimate(math.exp(logs.value), math.exp(logs.low), math.exp(logs.high))

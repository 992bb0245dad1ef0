"""Predictions of after / before, held against what pairs of blocks measured beside each other.

What was sealed is a ratio: the observation that it comes from ran at another time, and levels of another time are not
those of the blocks. Two errors are added to its interval once the blocks have run, so that a prediction neither holds
nor misses by chance: how much the blocks of a pair differ by themselves, and how far the machine was from where it was
observed, since a fix gains more where others want the processor too.
"""

import math
from enum import StrEnum

from observability.analysis.comparison import Estimate

# A ratio whose interval reaches down to 0 has no logarithm there.
_LEAST_RATIO = 1e-6


class ForecastResult(StrEnum):
    """What became of a prediction; it cannot be told where the machine changed by more than the fix was to change."""

    HELD = "held"
    MISSED = "missed"
    UNTOLD = "cannot be told"


def widened(sealed: Estimate, measured: Estimate, *, drift: float) -> Estimate:
    """Add the errors to the sealed ratio's interval, as independent ones.

    `measured` is the ratio of the blocks with its interval; `drift` is what was measured before the fix in the blocks,
    as a ratio to what was observed.
    """
    noise = math.hypot(math.log(_positive(measured.high) / _positive(measured.low)) / 2, math.log(_positive(drift)))
    value = _positive(sealed.value)
    below, above = math.log(value / _positive(sealed.low)), math.log(_positive(sealed.high) / value)
    return Estimate(value, value * math.exp(-math.hypot(below, noise)), value * math.exp(math.hypot(above, noise)))


def result_of(sealed: Estimate, within: Estimate, measured: Estimate) -> ForecastResult:
    """Return whether the measured ratio lies within the widened interval of the sealed one; all are after / before."""
    if _has(within, 1.0) and not _has(sealed, 1.0):
        return ForecastResult.UNTOLD
    return ForecastResult.HELD if _has(within, measured.value) else ForecastResult.MISSED


def times(value: float, ratio: Estimate) -> Estimate:
    """Apply a ratio to a value, bounds included."""
    return Estimate(value * ratio.value, value * ratio.low, value * ratio.high)


def _has(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high


def _positive(ratio: float) -> float:
    return max(ratio, _LEAST_RATIO)

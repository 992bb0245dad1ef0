"""Comparison of a fix's predicted after / before ratio, stored before the paired runs, with the measured ratio.

A ratio is sealed, since latencies of the observation, which ran at another time, do not compare with the blocks'. Two
errors are added to its interval once the blocks have run: the noise between the blocks of a pair, and the drift of the
machine since the observation. A fix gains more when other work competes for the processor.
"""

import math
from enum import StrEnum

from observability.analysis.comparison import Estimate

# A ratio whose interval reaches down to 0 has no logarithm there.
_LEAST_RATIO = 1e-6


class ForecastResult(StrEnum):
    """Result of a prediction; it cannot be judged when the machine changed by more than the predicted effect."""

    HELD = "held"
    MISSED = "missed"
    UNTOLD = "cannot be told"


def widened(sealed: Estimate, measured: Estimate, *, drift: float) -> Estimate:
    """Return the sealed ratio with noise and drift added to its interval, as independent errors.

    `measured` is the blocks' ratio with its interval. `drift` is the blocks' value before the fix divided by the
    observed one.
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

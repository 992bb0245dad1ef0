"""Scales of a plot's axis: positions of values, and the axis's ticks. Each axis has a unit of position of its own."""

import math
from dataclasses import dataclass

_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Tick:
    """A named value of an axis, at its position.

    wide_only: a phone has no room for the label.
    """

    at: float
    label: str
    wide_only: bool = False


@dataclass(frozen=True, slots=True)
class LinearScale:
    """Values from 0 to `high` onto positions `first` to `last` (a vertical axis has `first` below `last`)."""

    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        """Return the position of a value."""
        return self.first + (self.last - self.first) * value / self.high

    def ticks(self, wanted: int) -> list[Tick]:
        """Name about so many round values, 0 included."""
        step = round_up(self.high / wanted)
        return [Tick(self.at(number * step), f"{number * step:,g}") for number in range(int(self.high / step + 1.001))]


@dataclass(frozen=True, slots=True)
class LogScale:
    """Values from `low` to `high`, both above 0, onto positions; equal ratios are equal distances."""

    low: float
    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        """Return the position of a value; what lies outside the scale is put at its end."""
        clipped = min(max(value, self.low), self.high)
        share = math.log(clipped / self.low) / math.log(self.high / self.low)
        return self.first + (self.last - self.first) * share

    def ticks(self) -> list[Tick]:
        """Name 1, 2 and 5 of each decade, or only its 1 when there are more than three decades."""
        steps = _STEPS if self.high / self.low <= 1_001 else (1,)
        first_decade, last_decade = (math.floor(math.log10(bound)) for bound in (self.low, self.high))
        values = [step * 10.0**decade for decade in range(first_decade, last_decade + 1) for step in steps]
        return [Tick(self.at(value), f"{value:,g}") for value in values if self._covers(value)]

    def _covers(self, value: float) -> bool:
        return self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)


def log_scale(smallest: float, largest: float, *, first: float, last: float) -> LogScale:
    """Make a scale with round ends that holds both values, and at least a factor of ten."""
    low, high = round_down(smallest), round_up(largest)
    return LogScale(low, max(high, 10 * low), first, last)


def round_up(value: float) -> float:
    """Return the least 1, 2 or 5 times a power of ten that is not below a value above 0."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in (*_STEPS, 10) if step * decade >= value * (1 - 1e-9))


def round_down(value: float) -> float:
    """Return the greatest 1, 2 or 5 times a power of ten that is not above a value above 0."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in (10, *reversed(_STEPS)) if step * decade <= value * (1 + 1e-9))

"""Durations in Prometheus rules, divided by a speed-up factor, so that an alert drill takes minutes, not hours."""

from dataclasses import dataclass

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR

UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


@dataclass(frozen=True, slots=True)
class Pace:
    """Divisor of each window, `for` and interval; rates, ratios and ages stay as they are."""

    scale: int = 1

    def __call__(self, seconds: int) -> str:
        """Return the duration as Prometheus writes it, in the largest unit that needs no fraction."""
        milliseconds = seconds * 1_000 // self.scale
        unit, size = next((unit, size) for unit, size in UNITS if milliseconds % size == 0)
        return f"{milliseconds // size}{unit}"

"""Options of a demo, and their limits."""

from dataclasses import dataclass
from pathlib import Path

from observability.load.capacity import Capacity
from observability.load.errors import LoadUsageError
from observability.load.result import rounded_down
from services.local.platform.endpoints import Bus, Mode

# All spans of a demo are read into memory to check that none is missing: about 20 kB an order.
MAXIMUM_ORDERS = 20_000
OUT_OF_STOCK_SHARE = 0.10
# Orders a second. A faster machine shows nothing more at a higher rate, and its spans take longer to read.
HIGHEST_RATE = 50.0
# A machine that sells fewer orders a second answers most of them too late.
LEAST_CAPACITY = 2.0


class DemoError(Exception):
    """The demo could not be finished; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of `plumb demo`; `output` is the folder of all demos' runs.

    Without a rate the demo runs at half of what the machine sells.
    """

    rate_per_second: float | None
    duration_seconds: float
    seed: int
    mode: Mode
    bus: Bus
    output: Path

    def rate_on(self, capacity: Capacity) -> float:
        """Choose the rate on a machine that sells so much; raises DemoError where it sells too little."""
        if self.rate_per_second is not None:
            return self.rate_per_second
        if capacity.sold_per_second < LEAST_CAPACITY:
            raise DemoError(
                f"this machine is too slow for a demo now: it sells about {capacity.sold_per_second:.1f} orders a"
                f" second, and {LEAST_CAPACITY:g} are needed; free it of other work, or give --rate to run all the same"
            )
        return min(capacity.rate_per_second, HIGHEST_RATE, rounded_down(MAXIMUM_ORDERS / self.duration_seconds))

    def check(self) -> None:
        """Raise LoadUsageError when the demo would be too long to keep all its traces; `plumb load` takes more."""
        planned = (self.rate_per_second or LEAST_CAPACITY) * self.duration_seconds
        if planned > MAXIMUM_ORDERS:
            raise LoadUsageError(
                f"{planned:,.0f} orders are more than the {MAXIMUM_ORDERS:,} of which a demo can keep every trace;"
                " use `plumb up` and `plumb load` for longer runs"
            )

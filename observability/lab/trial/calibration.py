"""At which rate is the busiest resource as busy as wanted? From a short probe: what one order asks of each."""

from dataclasses import dataclass
from pathlib import Path

from observability.analysis.observation import read_observation
from observability.analysis.resources import pools
from observability.lab.trial.block import Block

# So few that no experiment is overloaded by it: orders that fail take less of everything than those that do not.
PROBE_RATE_PER_SECOND = 5.0
PROBE_SECONDS = 8.0
PROBE_WARM_UP_SECONDS = 2.0
# What the platform's own polling takes of its core without any order.
IDLE_UTILISATION = 0.06
_HALVINGS = 40
_HIGHEST_RATE = 1_000.0


@dataclass(frozen=True, slots=True)
class Demands:
    """What one order takes: seconds of the core, and of each pool's connections, at the probe's utilisation."""

    cpu_seconds: float
    pool_seconds: tuple[float, ...]
    probe_utilisation: float

    def utilisation(self, rate_per_second: float) -> float:
        """Give how busy the busiest is at a rate: a connection is held longer on a core that is busier."""
        core = IDLE_UTILISATION + rate_per_second * self.cpu_seconds
        if core >= 1:
            return core
        stretch = (1 - min(self.probe_utilisation, core)) / (1 - core)
        return max(core, *(rate_per_second * seconds * stretch for seconds in self.pool_seconds), 0.0)


def demands(block: Block, orders: int, observation: Path) -> Demands:
    """Read off a probe what one order takes."""
    used = sum(block.cpu_seconds.values()) - IDLE_UTILISATION * block.elapsed_seconds
    seen = read_observation(observation)
    return Demands(
        cpu_seconds=max(used, 0.0) / orders,
        pool_seconds=tuple(pool.hold_seconds / orders / pool.limit for pool in pools(seen)),
        probe_utilisation=block.utilisation,
    )


def rate_for(demands: Demands, utilisation: float) -> float:
    """Give the rate in orders a second, by bisection."""
    low, high = 0.0, _HIGHEST_RATE
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if demands.utilisation(middle) < utilisation else (low, middle)
    return low

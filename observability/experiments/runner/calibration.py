"""At which rate is the busiest resource as busy as wanted? From a short probe: what one order asks of each."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from observability.analysis.observation import Observation, read_observation
from observability.analysis.resources import pools
from observability.experiments.experiment import Demand
from observability.experiments.runner.block import Block, Schedule
from observability.experiments.runner.errors import TrialError

# So few that no experiment is overloaded by it: orders that fail take less of everything than those that do not.
PROBE_RATE_PER_SECOND = 5.0
PROBE_SECONDS = 8.0
PROBE_WARM_UP_SECONDS = 2.0
# By the probe before.
BUSY_PROBE_UTILISATION = 0.9
MOST_BUSY_PROBES = 3
SAME_SHARE = 0.9
# What the platform's own polling takes of its core without any order.
IDLE_UTILISATION = 0.06
# With fewer orders no quantile is worth anything.
LEAST_RATE_PER_SECOND = 0.5
_HALVINGS = 40
_HIGHEST_RATE = 1_000.0


@dataclass(frozen=True, slots=True)
class PoolBaseline:
    """A pool's connections: the share that is held without any order, and the seconds that one order adds."""

    idle_share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class ResourceDemand:
    """What one order takes: seconds of the core, and of each pool's connections, at the probe's utilisation."""

    cpu_seconds: float
    pools: tuple[PoolBaseline, ...]
    probe_utilisation: float

    def utilisation(self, rate_per_second: float) -> float:
        """Return how busy the busiest is at a rate: a connection is held longer on a core that is busier."""
        core = IDLE_UTILISATION + rate_per_second * self.cpu_seconds
        if core >= 1:
            return core
        stretch = (1 - min(self.probe_utilisation, core)) / (1 - core)
        return max(core, *(each.idle_share + rate_per_second * each.seconds * stretch for each in self.pools), 0.0)

    def asked(self, rate_per_second: float) -> float:
        """Return how many times as much is asked of the busiest as it can do.

        A connection that is held for longer on a core that has no time is no more work, so that it is not stretched.
        """
        core = IDLE_UTILISATION + rate_per_second * self.cpu_seconds
        return max(core, *(each.idle_share + rate_per_second * each.seconds for each in self.pools), 0.0)


async def calibrate(
    run: Callable[[Schedule, Path], Awaitable[Block]], demand: Demand, *, seed: int, observation: Path
) -> float:
    """Return the rate in orders a second; `run` runs one block by a schedule and observes it into a folder.

    Raises TrialError when something is as busy as wanted without any order. An order takes less of a processor that is
    busy, since what wakes up has more to do at once: where more is asked than can be done, probes that are busier and
    busier tell, until one says what the one before it said.
    """
    asked = await _probe(run, PROBE_RATE_PER_SECOND, demand, seed=seed, observation=observation)
    if asked.utilisation(LEAST_RATE_PER_SECOND) >= demand.utilisation:
        raise TrialError(f"something is {demand.utilisation:.0%} busy with hardly an order: this setting shows nothing")
    for number in range(MOST_BUSY_PROBES if demand.utilisation > 1 else 0):
        before, rate = asked, rate_for(asked, BUSY_PROBE_UTILISATION)
        seen = observation.with_name(f"{observation.name}-{number}")
        asked = await _probe(run, rate, demand, seed=seed, observation=seen)
        if asked.cpu_seconds > SAME_SHARE * before.cpu_seconds:
            break
    return round(rate_for(asked, demand.utilisation), 2)


async def _probe(
    run: Callable[[Schedule, Path], Awaitable[Block]], rate: float, demand: Demand, *, seed: int, observation: Path
) -> ResourceDemand:
    schedule = Schedule(
        rate_per_second=rate,
        warm_up_seconds=PROBE_WARM_UP_SECONDS,
        duration_seconds=PROBE_SECONDS,
        seed=seed,
        demand=replace(demand, surge=1.0),
    )
    probe = await run(schedule, observation)
    return demands(probe, probe.orders, observation)


def demands(block: Block, orders: int, observation: Path) -> ResourceDemand:
    """Read off a probe what one order takes."""
    used = sum(block.cpu_seconds.values()) - IDLE_UTILISATION * block.elapsed_seconds
    return ResourceDemand(
        cpu_seconds=max(used, 0.0) / orders,
        pools=tuple(held(read_observation(observation), orders)),
        probe_utilisation=block.utilisation,
    )


def held(seen: Observation, orders: int) -> Iterator[PoolBaseline]:
    """Tell what workers hold of each pool, from the scrapes before the first order, from what the orders add.

    A relay that polls a database milliseconds away holds a connection for a good part of the time, and no less when
    nobody orders anything.
    """
    assert seen.requests is not None, "what is observed is observed under load"
    began = seen.requests.from_seconds - PROBE_WARM_UP_SECONDS
    idle = replace(seen, scrapes=tuple(each for each in seen.scrapes if each.at_seconds < began))
    shares = {(pool.target, pool.name): pool.hold_seconds / scraped_seconds(idle) for pool in pools(idle)}
    for pool in pools(seen):
        share = shares.get((pool.target, pool.name), 0.0)
        added = max(pool.hold_seconds - share * scraped_seconds(seen), 0.0)
        yield PoolBaseline(share / pool.limit, added / orders / pool.limit)


def scraped_seconds(seen: Observation) -> float:
    """Return the time from the first scrape to the last."""
    return seen.scrapes[-1].at_seconds - seen.scrapes[0].at_seconds


def rate_for(demands: ResourceDemand, utilisation: float) -> float:
    """Return the rate in orders a second, by bisection."""
    busy = demands.asked if utilisation > 1 else demands.utilisation
    low, high = 0.0, _HIGHEST_RATE
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if busy(middle) < utilisation else (low, middle)
    return low

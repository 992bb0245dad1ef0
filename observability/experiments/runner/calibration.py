"""Calibration: finds the rate at which the busiest resource has the wanted utilisation, from short probes."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from observability.analysis.observation import Observation, TimedScrape
from observability.analysis.observation_folder import read_observation
from observability.analysis.processor_metrics import measured
from observability.analysis.processor_use import Scope
from observability.analysis.resources import pools
from observability.experiments.experiment import Demand
from observability.experiments.runner.block import Block, Schedule
from observability.experiments.runner.errors import TrialError

# So low that it overloads no experiment: failed orders use less of every resource.
PROBE_RATE_PER_SECOND = 5.0
PROBE_SECONDS = 8.0
PROBE_WARM_UP_SECONDS = 2.0
# Utilisation of a further probe, by the estimate of the probe before.
BUSY_PROBE_UTILISATION = 0.9
MOST_BUSY_PROBES = 3
SAME_SHARE = 0.9
# Utilisation of the core by the platform's own polling, without orders.
IDLE_UTILISATION = 0.06
# At a lower rate there are too few orders for a quantile.
LEAST_RATE_PER_SECOND = 0.5
_HALVINGS = 40
_HIGHEST_RATE = 1_000.0


@dataclass(frozen=True, slots=True)
class PoolBaseline:
    """A pool's use: the share of connections held without orders, and the connection seconds that one order adds."""

    idle_share: float
    seconds: float

    def at(self, rate_per_second: float) -> float:
        """Return the utilisation at a rate, when an order uses as much as in the probe."""
        return self.idle_share + rate_per_second * self.seconds


@dataclass(frozen=True, slots=True)
class ResourceDemand:
    """The use of resources by one order: seconds of the core and of each pool, at the probe's utilisation.

    limited: the same of each server with a processor limit, as shares of that limit.
    """

    cpu_seconds: float
    pools: tuple[PoolBaseline, ...]
    probe_utilisation: float
    limited: tuple[PoolBaseline, ...] = ()

    def utilisation(self, rate_per_second: float) -> float:
        """Return the utilisation of the busiest resource at a rate: on a busier core a connection is held longer."""
        core = IDLE_UTILISATION + rate_per_second * self.cpu_seconds
        if core >= 1:
            return core
        stretch = (1 - min(self.probe_utilisation, core)) / (1 - core)
        held = (each.idle_share + rate_per_second * each.seconds * stretch for each in self.pools)
        return max(core, *held, *(each.at(rate_per_second) for each in self.limited), 0.0)

    def asked(self, rate_per_second: float) -> float:
        """Return the offered load of the busiest resource as a multiple of its capacity.

        A connection that is held longer on a saturated core is not more work, so its time is not stretched.
        """
        core = IDLE_UTILISATION + rate_per_second * self.cpu_seconds
        return max(core, *(each.at(rate_per_second) for each in (*self.pools, *self.limited)), 0.0)


async def calibrate(
    run: Callable[[Schedule, Path], Awaitable[Block]], demand: Demand, *, seed: int, observation: Path
) -> float:
    """Return the rate in orders a second; `run` runs one block by a schedule and observes it into a folder.

    On a busy processor an order costs less, since each wake-up does more work. For a load above capacity, probes at
    rising utilisation are run until two agree. Raises TrialError when the wanted utilisation is reached without orders.
    """
    asked = await _probe(run, PROBE_RATE_PER_SECOND, demand, seed=seed, observation=observation)
    if asked.utilisation(LEAST_RATE_PER_SECOND) >= demand.utilisation:
        raise TrialError(
            f"a resource is already {demand.utilisation:.0%} busy with hardly an order: free this machine of other work"
        )
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
    """Return the resources that one order used in a probe."""
    used = sum(block.cpu_seconds.values()) - IDLE_UTILISATION * block.elapsed_seconds
    seen = read_observation(observation)
    return ResourceDemand(
        cpu_seconds=max(used, 0.0) / orders,
        pools=tuple(held(seen, orders)),
        probe_utilisation=block.utilisation,
        limited=tuple(used_of_limits(seen)),
    )


def held(seen: Observation, orders: int) -> Iterator[PoolBaseline]:
    """Yield for each pool the use without orders, from the scrapes before the first order, and what orders add.

    A relay that polls a remote database holds a connection much of the time, with or without orders.
    """
    idle = replace(seen, scrapes=tuple(before_load(seen)))
    shares = {(pool.target, pool.name): pool.hold_seconds / scraped_seconds(idle) for pool in pools(idle)}
    for pool in pools(seen):
        share = shares.get((pool.target, pool.name), 0.0)
        added = max(pool.hold_seconds - share * scraped_seconds(seen), 0.0)
        yield PoolBaseline(share / pool.limit, added / orders / pool.limit)


def used_of_limits(seen: Observation) -> Iterator[PoolBaseline]:
    """Yield for each processor limit the share that is used without orders, and what orders add after the warm-up.

    The first statements of each connection cost a database server several times as much as later ones.
    """
    assert seen.requests is not None, "what is observed is observed under load"
    idle = {each.owner: each.used for each in measured(before_load(seen)) if each.scope is Scope.CONTAINER}
    warm = [each for each in seen.scrapes if each.at_seconds >= seen.requests.from_seconds]
    for each in measured(warm):
        if each.scope is Scope.CONTAINER and each.limit is not None:
            base = min(idle.get(each.owner, 0.0), each.used)
            added = (each.used - base) / seen.requests.scheduled_rate_per_second
            yield PoolBaseline(base / each.limit, added / each.limit)


def before_load(seen: Observation) -> Iterator[TimedScrape]:
    """Yield the scrapes before the first order."""
    assert seen.requests is not None, "what is observed is observed under load"
    began = seen.requests.from_seconds - PROBE_WARM_UP_SECONDS
    yield from (each for each in seen.scrapes if each.at_seconds < began)


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

"""How busy was everything, and what was waited for? Figures of an observation that no single request shows."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from observability.analysis.comparison import Estimate, clopper_pearson
from observability.analysis.observation import Observation, Session, TimedScrape
from observability.analysis.openmetrics import Labels, histogram_deltas

_WAIT_TIME = "db_client_connection_wait_time_seconds"
_USE_TIME = "db_client_connection_use_time_seconds"
_LIMIT = "db_client_connection_max"
_COUNT = "db_client_connection_count"
_POOL_NAME = "db_client_connection_pool_name"
_USED = ("state", "used")


@dataclass(frozen=True, slots=True)
class Pool:
    """A connection pool of a process: its limit, how long callers waited and held, and how often all were in use.

    `waits` counts how often a connection was asked for. `full_share` (0 to 1) is of the scrapes.
    """

    target: str
    name: str
    limit: float
    waits: float
    wait_seconds: float
    hold_seconds: float
    full_share: float

    @property
    def mean_hold_seconds(self) -> float:
        """How long one was held."""
        return self.hold_seconds / self.waits if self.waits else 0.0


def utilisation(observation: Observation) -> float | None:
    """Give the share of its time that the busiest set of processes, taken as one processor, worked; None if unknown.

    The processes are those that were sampled; a system on several processors must give one value for each instead.
    """
    used = cpu_seconds(observation)
    elapsed = _elapsed_seconds(observation)
    return sum(used.values()) / elapsed if used and elapsed > 0 else None


def cpu_seconds(observation: Observation) -> dict[str, float]:
    """Give the seconds of processor time that each process used while it was observed."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for sample in observation.processes:
        first.setdefault(sample.process, sample.cpu_seconds)
        last[sample.process] = sample.cpu_seconds
    return {process: last[process] - first[process] for process in last}


def pools(observation: Observation) -> list[Pool]:
    """Describe every pool that the scrapes tell of, those that were waited for longest first."""
    found = [pool for scrapes in _by_target(observation).values() for pool in _pools_of(scrapes)]
    return sorted(found, key=lambda pool: -pool.wait_seconds)


def waiting_sessions(observation: Observation, wait_event_type: str) -> list[Session]:
    """Give the sessions that were seen to wait for something of this type, once each time that they were seen."""
    return [
        session
        for sample in observation.sessions
        for session in sample.sessions
        if session.wait_event_type == wait_event_type
    ]


def sampling_seconds(observation: Observation) -> float:
    """Give the time between two looks at the sessions, on average; 0 when there were not two."""
    times = [sample.at_seconds for sample in observation.sessions]
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0


def database_seconds(observation: Observation) -> dict[str, Estimate]:
    """Give the time that sessions were at work, by what they waited for ("CPU" when for nothing).

    A few sightings may be chance: the interval says which share of the looks they may stand for.
    """
    seen: Counter[str] = Counter()
    for sample in observation.sessions:
        for session in sample.sessions:
            if session.state == "active":
                seen[session.wait_event_type or "CPU"] += 1
    each = sampling_seconds(observation)
    return {kind: _seconds_of(count, len(observation.sessions), each) for kind, count in seen.most_common()}


def _seconds_of(sightings: int, looks: int, seconds_each: float) -> Estimate:
    """Give the time that sightings stand for, of which one look may have several."""
    most = max(sightings, looks)
    low, high = clopper_pearson(sightings, most)
    return Estimate(sightings * seconds_each, low * most * seconds_each, high * most * seconds_each)


def _elapsed_seconds(observation: Observation) -> float:
    times = [sample.at_seconds for sample in observation.processes]
    return times[-1] - times[0] if times else 0.0


def _by_target(observation: Observation) -> dict[str, list[TimedScrape]]:
    by_target: dict[str, list[TimedScrape]] = defaultdict(list)
    for scrape in observation.scrapes:
        by_target[scrape.target].append(scrape)
    return {target: scrapes for target, scrapes in by_target.items() if len(scrapes) > 1}


def _pools_of(scrapes: list[TimedScrape]) -> Iterator[Pool]:
    first, last = scrapes[0].scrape, scrapes[-1].scrape
    held = {delta.labels[_POOL_NAME]: delta.sum for delta in histogram_deltas(first, last, _USE_TIME)}
    for delta in histogram_deltas(first, last, _WAIT_TIME):
        name = delta.labels[_POOL_NAME]
        limit = _value(scrapes[-1], _LIMIT, name)
        full = sum(_value(scrape, _COUNT, name, _USED) >= limit for scrape in scrapes)
        yield Pool(
            target=scrapes[0].target,
            name=name,
            limit=limit,
            waits=delta.count,
            wait_seconds=delta.sum,
            hold_seconds=held.get(name, 0.0),
            full_share=full / len(scrapes),
        )


def _value(scrape: TimedScrape, metric: str, pool: str, *more: tuple[str, str]) -> float:
    wanted: set[tuple[str, str]] = {(_POOL_NAME, pool), *more}
    samples: dict[Labels, float] = dict(scrape.scrape.samples.get(metric, {}))
    return next((value for labels, value in samples.items() if wanted <= set(labels)), 0.0)

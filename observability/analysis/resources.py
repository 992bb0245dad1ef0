"""Resource usage in an observation: connection pools, and what database sessions waited for."""

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
    """Usage of a connection pool of a process.

    limit: connections at most.
    waits: requests for a connection.
    wait_seconds: total time that callers waited for a connection.
    hold_seconds: total time that connections were in use.
    full_share: share (0 to 1) of the scrapes that found all connections in use.
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
        """The mean time that a connection was in use."""
        return self.hold_seconds / self.waits if self.waits else 0.0


def pools(observation: Observation) -> list[Pool]:
    """Return the usage of every pool in the scrapes whose limit is known, the longest total wait first."""
    found = [pool for scrapes in _by_target(observation).values() for pool in _pools_of(scrapes)]
    return sorted(found, key=lambda pool: -pool.wait_seconds)


def waiting_sessions(observation: Observation, wait_event_type: str) -> list[Session]:
    """Return the sampled sessions with this type of wait, once for each sample that shows them."""
    return [
        session
        for sample in observation.sessions
        for session in sample.sessions
        if session.wait_event_type == wait_event_type
    ]


def sampling_seconds(observation: Observation) -> float:
    """Return the mean time between two samples of the sessions; 0 for fewer than two samples."""
    times = [sample.at_seconds for sample in observation.sessions]
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0


def database_seconds(observation: Observation) -> dict[str, Estimate]:
    """Return the time that sessions were active, by the type of their wait event ("CPU" when they ran).

    The interval is that of the share of samples: a few occurrences may be chance.
    """
    seen: Counter[str] = Counter()
    for sample in observation.sessions:
        for session in sample.sessions:
            if session.state == "active":
                seen[session.wait_event_type or "CPU"] += 1
    each = sampling_seconds(observation)
    return {kind: _seconds_of(count, len(observation.sessions), each) for kind, count in seen.most_common()}


def _seconds_of(occurrences: int, samples: int, seconds_each: float) -> Estimate:
    """Return the time that occurrences in samples stand for; one sample may hold several."""
    most = max(occurrences, samples)
    low, high = clopper_pearson(occurrences, most)
    return Estimate(occurrences * seconds_each, low * most * seconds_each, high * most * seconds_each)


def _by_target(observation: Observation) -> dict[str, list[TimedScrape]]:
    by_target: dict[str, list[TimedScrape]] = defaultdict(list)
    for scrape in observation.scrapes:
        by_target[scrape.target].append(scrape)
    return {target: scrapes for target, scrapes in by_target.items() if len(scrapes) > 1}


def _pools_of(scrapes: list[TimedScrape]) -> Iterator[Pool]:
    first, last = scrapes[0].scrape, scrapes[-1].scrape
    held = {delta.labels.get(_POOL_NAME, ""): delta.sum for delta in histogram_deltas(first, last, _USE_TIME)}
    for delta in histogram_deltas(first, last, _WAIT_TIME):
        name = delta.labels.get(_POOL_NAME, "")
        limit = _value(scrapes[-1], _LIMIT, name)
        if not limit:
            continue
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
    """Return the value of a pool; 0 without one. Libraries with one pool do not name it."""
    wanted = {**dict(more), **({_POOL_NAME: pool} if pool else {})}.items()
    samples: dict[Labels, float] = dict(scrape.scrape.samples.get(metric, {}))
    return next((value for labels, value in samples.items() if wanted <= set(labels)), 0.0)

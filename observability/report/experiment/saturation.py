"""Saturation during the observation, second by second: processor, database sessions and connection pools."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from observability.analysis.observation import Observation, Session, TimedScrape
from observability.analysis.resources import pools

_MOST_SERIES = 7
# Half of what two decimals show.
_LEAST_VISIBLE = 0.005
_OTHERS = "all others"
_ACTIVE = "active"

# A counter that only rises, as readings of (seconds, value).
Readings = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ResourceSeries:
    """One value for each second, on average over it."""

    name: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The average over all seconds."""
        return sum(self.values) / len(self.values) if self.values else 0.0


@dataclass(frozen=True, slots=True)
class SaturationChart:
    """A chart of stacked series, the largest first; without series when it was not observed.

    Requests were measured from `counted_from` to `counted_until`, in seconds since its first value.
    """

    title: str
    unit: str
    note: str
    series: tuple[ResourceSeries, ...]
    counted_from: float
    counted_until: float

    @property
    def seconds(self) -> int:
        """How many values each series has."""
        return len(self.series[0].values) if self.series else 0


def saturation(observation: Observation) -> tuple[SaturationChart, ...]:
    """Describe the processor, the database's sessions and the pools."""
    bounds = _bounds_of_seconds(observation)
    counted = _counted(observation, bounds)
    told = (
        (
            "Processor",
            "cores at work",
            "User and system time of each process; all of them share the platform's cores.",
            _rises(_cpu_readings(observation), bounds),
        ),
        (
            "Database sessions",
            "sessions in a transaction or statement",
            "By what each waits for; CPU is at work, or ready to be.",
            _sessions(observation, bounds),
        ),
        (
            "Connection pools",
            "callers that wait",
            "How many callers wait for a connection at a time: seconds of waiting a second.",
            _rises(_pool_readings(observation), bounds),
        ),
    )
    return tuple(SaturationChart(title, unit, note, _fold(series), *counted) for title, unit, note, series in told)


def _bounds_of_seconds(observation: Observation) -> list[float]:
    """Return the whole seconds of an observed time."""
    looks = [
        *(sample.at_seconds for sample in observation.processes),
        *(sample.at_seconds for sample in observation.sessions),
        *(scrape.at_seconds for scrape in observation.scrapes),
    ]
    return [min(looks) + second for second in range(int(max(looks) - min(looks)) + 1)] if looks else []


def _counted(observation: Observation, bounds: Sequence[float]) -> tuple[float, float]:
    if not bounds or observation.requests is None:
        return 0.0, float(max(len(bounds) - 1, 0))
    last = float(len(bounds) - 1)
    window = (observation.requests.from_seconds - bounds[0], observation.requests.until_seconds - bounds[0])
    low, high = (min(max(bound, 0.0), last) for bound in window)
    return low, high


def _cpu_readings(observation: Observation) -> Mapping[str, Readings]:
    readings: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for sample in observation.processes:
        readings[sample.process].append((sample.at_seconds, sample.cpu_seconds))
    return readings


def _pool_readings(observation: Observation) -> Mapping[str, Readings]:
    """Add up each pool's waits from scrape to scrape."""
    by_target: dict[str, list[TimedScrape]] = defaultdict(list)
    for scrape in observation.scrapes:
        by_target[scrape.target].append(scrape)
    readings: dict[str, list[tuple[float, float]]] = {}
    for scrapes in by_target.values():
        for first, second in pairwise(scrapes):
            for pool in pools(replace(observation, scrapes=(first, second))):
                known = readings.setdefault(f"{pool.name} of {pool.target}", [])
                _go_on(known, first.at_seconds, second.at_seconds, pool.wait_seconds)
    return readings


def _go_on(readings: list[tuple[float, float]], since: float, until: float, rise: float) -> None:
    """Add an increase to a counter; a pool without earlier readings was unused, so its counter did not move."""
    stood = readings[-1][1] if readings else 0.0
    if not readings or readings[-1][0] < since:
        readings.append((since, stood))
    readings.append((until, stood + rise))


def _rises(readings: Mapping[str, Readings], bounds: Sequence[float]) -> list[ResourceSeries]:
    """Return how far each counter rose in each second."""
    series = []
    for name, points in readings.items():
        values = [_value_at(points, bound) for bound in bounds]
        series.append(ResourceSeries(name, tuple(later - earlier for earlier, later in pairwise(values))))
    return series


def _value_at(points: Readings, at: float) -> float:
    """Interpolate a counter; before its first reading it did not move, nor after its last."""
    after = bisect_right(points, at, key=lambda point: point[0])
    if after == 0:
        return points[0][1]
    if after == len(points):
        return points[-1][1]
    (first_at, first), (second_at, second) = points[after - 1], points[after]
    return first + (second - first) * (at - first_at) / (second_at - first_at)


def _sessions(observation: Observation, bounds: Sequence[float]) -> list[ResourceSeries]:
    """Return the mean number of sessions in each second over its samples, by what they wait for."""
    seconds = max(len(bounds) - 1, 0)
    looks = [0] * seconds
    seen: dict[str, list[int]] = defaultdict(lambda: [0] * seconds)
    for sample in observation.sessions:
        second = int(sample.at_seconds - bounds[0])
        if second < seconds:
            looks[second] += 1
            for session in sample.sessions:
                seen[_waits_for(session)][second] += 1
    return [
        ResourceSeries(name, tuple(count / max(look, 1) for count, look in zip(counts, looks, strict=True)))
        for name, counts in seen.items()
    ]


def _waits_for(session: Session) -> str:
    """Return what a session waits for; a session without a running statement waits for its client."""
    return session.wait_event_type or "CPU" if session.state == _ACTIVE else session.state


def _fold(series: Sequence[ResourceSeries]) -> tuple[ResourceSeries, ...]:
    """Return the series, the largest first, with small ones merged and invisible ones left out."""
    visible = [each for each in series if max(each.values, default=0.0) >= _LEAST_VISIBLE]
    ordered = sorted(visible, key=lambda each: (-each.mean, each.name))
    if len(ordered) <= _MOST_SERIES:
        return tuple(ordered)
    shown, rest = ordered[: _MOST_SERIES - 1], ordered[_MOST_SERIES - 1 :]
    together = tuple(sum(column) for column in zip(*(each.values for each in rest), strict=True))
    return (*shown, ResourceSeries(_OTHERS, together))

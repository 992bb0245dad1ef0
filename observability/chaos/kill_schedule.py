"""Kill schedule of a process: one kill at each crash point, then seeded random choices of points and times."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from observability.chaos.crash_point_catalog import Point
from observability.load.orders import stream

# Share of kills at a random time, after the first kill at each point.
RANDOM_SHARE = 0.2
# From the start of the process on, so that some are killed while they start.
LONGEST_RANDOM_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class PlannedKill:
    """One planned kill of a process.

    point: where; None for a random time.
    passage: number of the passage at which it comes, from 1.
    after_seconds: random time after the start; not used with a point.
    """

    point: Point | None
    passage: int = 1
    after_seconds: float = 0.0


def planned_kills(points: Sequence[Point], *, seed: int, process: str) -> Iterator[PlannedKill]:
    """Yield one process's kills without end; they depend on the seed and the process only."""
    generator = stream(seed, f"strikes of {process}")
    for point in generator.sample(points, len(points)):
        yield PlannedKill(point)
    while True:
        if generator.random() < RANDOM_SHARE:
            yield PlannedKill(None, after_seconds=generator.uniform(0, LONGEST_RANDOM_SECONDS))
        else:
            point = generator.choice(points)
            yield PlannedKill(point, passage=generator.randint(1, point.most_passages))


def plan_round(
    points: Mapping[str, Sequence[Point]], *, seed: int, number: int, kills: int
) -> dict[str, tuple[PlannedKill, ...]]:
    """Return the planned kills of each process in a round, numbered from 0, of so many kills.

    A round continues the schedule where the one before ended, so each can be repeated alone.
    """
    shares = divide(kills, {process: len(own) for process, own in points.items()})
    return {
        process: tuple(islice(planned_kills(own, seed=seed, process=process), number * share, (number + 1) * share))
        for process, own in points.items()
        if (share := shares[process])
    }


def rounds_to_cover(points: Mapping[str, Sequence[Point]], *, kills: int) -> int:
    """Return the number of rounds of so many kills after which each point has had a kill."""
    shares = divide(kills, {process: len(own) for process, own in points.items()})
    return max(-(-len(own) // shares[process]) for process, own in points.items())


def divide(kills: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Divide kills among processes by weight, at least one each; they add up to `kills` unless there are too few."""
    total = sum(weights.values())
    shares = {process: max(1, kills * weight // total) for process, weight in weights.items()}
    heaviest = max(weights, key=lambda process: weights[process])
    shares[heaviest] = max(1, shares[heaviest] + kills - sum(shares.values()))
    return shares

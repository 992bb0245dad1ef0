"""In which order does each process die? Once at each of its points, then at any of them and at random, by seed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from observability.chaos.crash_point_catalog import Point
from observability.load.orders import stream

# Of the kills after the first walk, how many come at a moment of their own, wherever the process is by then.
RANDOM_SHARE = 0.2
# The youngest of them die while they start.
LONGEST_RANDOM_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class PlannedKill:
    """One planned end of a process: at a passage of a point, or, without one, some seconds after its start."""

    point: Point | None
    passage: int = 1
    after_seconds: float = 0.0


def strikes(points: Sequence[Point], *, seed: int, victim: str) -> Iterator[PlannedKill]:
    """Yield one process's ends for ever: the same ones for the same seed, whatever becomes of the other processes."""
    generator = stream(seed, f"strikes of {victim}")
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
    """Return what becomes of each process in a round, counted from 0, of so many kills.

    Rounds take up where the one before ended, so that any of them can be repeated alone.
    """
    shares = divide(kills, {victim: len(own) for victim, own in points.items()})
    return {
        victim: tuple(islice(strikes(own, seed=seed, victim=victim), number * share, (number + 1) * share))
        for victim, own in points.items()
        if (share := shares[victim])
    }


def rounds_to_cover(points: Mapping[str, Sequence[Point]], *, kills: int) -> int:
    """Return after how many rounds of so many kills each point has had its turn."""
    shares = divide(kills, {victim: len(own) for victim, own in points.items()})
    return max(-(-len(own) // shares[victim]) for victim, own in points.items())


def divide(kills: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Divide kills among processes by weight, each at least one; they add up to `kills` unless that is too few."""
    total = sum(weights.values())
    shares = {victim: max(1, kills * weight // total) for victim, weight in weights.items()}
    heaviest = max(weights, key=lambda victim: weights[victim])
    shares[heaviest] = max(1, shares[heaviest] + kills - sum(shares.values()))
    return shares

"""Simulated queues for tests: when calls arrive, start and end behind a lock, in a pool, or on a shared processor."""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass

from observability.analysis.trees import Node
from tests.unit.analysis.seeing import serve


@dataclass(frozen=True, slots=True)
class Served:
    """One call, in milliseconds: when it arrived, got its turn, and ended."""

    arrived: float
    started: float
    ended: float


def arrivals(count: int, *, each: float, source: random.Random) -> list[float]:
    """Return random arrivals, `each` milliseconds apart on average."""
    at, times = 0.0, []
    for _ in range(count):
        at += source.expovariate(1 / each)
        times.append(at)
    return times


def around(milliseconds: float, source: random.Random, *, spread: float = 0.1) -> float:
    """Return a duration that varies by about this share."""
    return milliseconds * source.lognormvariate(0, spread)


def in_turn(arrived: Sequence[float], work: Sequence[float], *, workers: int) -> list[Served]:
    """Serve calls first come, first served, so many at once: a lock is one worker."""
    free = [0.0] * workers
    served = []
    for at, milliseconds in zip(arrived, work, strict=True):
        started = max(at, heapq.heappop(free))
        heapq.heappush(free, started + milliseconds)
        served.append(Served(at, started, started + milliseconds))
    return served


def at_once(arrived: Sequence[float], work: Sequence[float]) -> list[Served]:
    """Serve each call when it arrives."""
    return [Served(at, at, at + milliseconds) for at, milliseconds in zip(arrived, work, strict=True)]


def sharing(arrived: Sequence[float], work: Sequence[float]) -> list[Served]:
    """Serve all calls on one processor, which works on those that are there in turns."""
    left: dict[int, float] = {}
    ended = [0.0] * len(arrived)
    coming = list(enumerate(arrived))[::-1]
    now = 0.0
    while coming or left:
        if not left:
            number, now = coming.pop()
            left[number] = work[number]
            continue
        shortest = min(left, key=lambda number: left[number])
        done = now + left[shortest] * len(left)
        until = min(done, coming[-1][1]) if coming else done
        for number in left:
            left[number] -= (until - now) / len(left)
        now = until
        if now == done:
            ended[shortest] = now
            del left[shortest]
        else:
            number, _ = coming.pop()
            left[number] = work[number]
    return [Served(at, at, end) for at, end in zip(arrived, ended, strict=True)]


def closed_loop(work: Sequence[float], *, clients: int, pause: float) -> list[Served]:
    """Serve calls of so many clients, each of which sends its next one a pause after the answer."""
    free = [0.0] * clients
    served = []
    for milliseconds in work:
        at = heapq.heappop(free) + pause
        heapq.heappush(free, at + milliseconds)
        served.append(Served(at, at, at + milliseconds))
    return served


def requests_around(*calls: tuple[Served, Node]) -> list[Node]:
    """Return a request for each call, from a millisecond before it arrived to a millisecond after it ended."""
    return [serve("POST /things", each.arrived - 1, each.ended + 1, node) for each, node in calls]

"""Detector of a serial resource: concurrent spans of one operation end one after the other, as behind a lock.

A lock lets one through at a time. So even where many run at once, the ends of two are never closer than the time for
which one holds the lock, however close they started. Where the lock is taken before the span of the operation starts,
the operation never runs twice at once: `concurrency_limit` finds that.

Calls that share a processor end together when they began together. Calls that start at regular intervals end so, too:
that proves nothing.
"""

import random
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import NamedTuple

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import clopper_pearson
from observability.analysis.conventions.database import acquires_a_connection, is_database_call, summary_of
from observability.analysis.detectors.candidate import LEAST_SHARE, UNHINDERED, Candidate
from observability.analysis.detectors.path_times import PathTimes
from observability.analysis.detectors.starts import operation_called, roots
from observability.analysis.observation import Observation
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, total_seconds
from observability.analysis.spans import SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import QUEUE_MODEL_ERROR, Saving

_NANOSECONDS = 1e9
# Fewer ends of calls that overlapped may be chance.
_FEWEST_QUEUED = 20
# Two ends or starts are close when less than this part of the usual time between two ends is between them.
_CLOSE = 0.5
# A quarter of the ends are close where calls are independent or share a processor, a fifth behind two locks. The share
# must be below this limit with 95 % confidence (Clopper-Pearson).
_MOST_CLOSE = 0.15
# Starts must be less regular than ends: at least this share of them is close, and twice as many as of the ends.
_LEAST_CLOSE_STARTS = 0.10
_TIMES_CLOSE_ENDS = 2.0
# Fewest calls without a predecessor in the queue from which the time of a call alone is estimated.
_FEWEST_ALONE = 10
# In a sample of the traces few calls overlap. These tell as much when calls end in the order in which they began, and a
# call's time apart (but for so much). A lock that is not quite fair lets a few overtake. Hardly any shuffle of the
# durations brings so few exceptions about.
_FEWEST_OVERLAPPING = 5
_APART = 0.9
_MOST_EXCEPTIONS = 0.05
_SHUFFLES = 400
_MOST_BY_CHANCE = 0.01
_SEED = 20_261
# Calls that take less than so many times as long as the fastest tenth hardly wait. More than the second figure means
# that a lock is held for 95 % of the time (M/D/1), or rather that no lock sets how long they take.
_TIMES_FASTEST, _MOST_TIMES_FASTEST = 2.0, 10.0
_CALLS = frozenset({SpanKind.CLIENT, SpanKind.SERVER})
# A lock that is held much longer than the call lasts is held beyond its end, as a row is until the commit.
_HELD_BEYOND = 1.5
# A statement that locks the rows that it finds.
_LOCKS_ROWS = re.compile(r"(UPDATE|DELETE|MERGE)\b|.*\bFOR UPDATE\b", re.IGNORECASE | re.DOTALL)


class _Stay(NamedTuple):
    """A time in which only a span itself ran, without its children, in nanoseconds since the Unix epoch.

    A tuple, since there are more of them than spans.
    """

    node: Node
    request: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Queue:
    """The stays of one operation that ended one after the other.

    hold: usual nanoseconds between two ends.
    close: share (0 to 1) of the ends that are close behind another one.
    waits: the stays that waited, each with its nanoseconds.
    """

    hold: int
    close: float
    waits: tuple[tuple[_Stay, int], ...]


def find_serial_resource(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each operation that ends one after the other; the fix saves the wait for the others."""
    least = LEAST_SHARE * total_seconds(requests)
    paths = PathTimes(requests)
    candidates = []
    for (service, operation, _), stays in _stays(observation, requests).items():
        if sum(each.end - each.start for each in stays) < least * _NANOSECONDS:
            continue
        if (queue := _queue_of(stays)) is not None:
            candidates.append(_candidate(service, operation, queue, paths, requests))
    return candidates


def _stays(observation: Observation, requests: Sequence[Request]) -> dict[tuple[str, str, str], list[_Stay]]:
    """Return the stays by service, operation, and the operation of the child that ends them; empty for the last."""
    stays: dict[tuple[str, str, str], list[_Stay]] = defaultdict(list)
    for number, root in roots(observation, requests):
        for node in root.walk():
            span = node.span
            if acquires_a_connection(span):
                continue
            operation = operation_called(node)
            if node.children:
                for start, end, following in _uncovered(node):
                    stays[span.service, operation, following].append(_Stay(node, number, start, end))
            elif span.start_nanoseconds < span.end_nanoseconds:
                stay = _Stay(node, number, span.start_nanoseconds, span.end_nanoseconds)
                stays[span.service, operation, ""].append(stay)
    return stays


def _uncovered(node: Node) -> Iterator[tuple[int, int, str]]:
    """Yield the times in which none of a span's children runs, each with the operation of the child that ends it."""
    reached, end = node.span.start_nanoseconds, node.span.end_nanoseconds
    for child in node.children:
        if child.span.kind is SpanKind.CONSUMER:
            continue
        if reached < child.span.start_nanoseconds:
            yield reached, child.span.start_nanoseconds, operation_called(child)
        reached = max(reached, child.span.end_nanoseconds)
    if reached < end:
        yield reached, end, ""


def _queue_of(stays: Sequence[_Stay]) -> _Queue | None:
    """Return the queue that the stays form; None where they end together, or start as regularly as they end."""
    in_order = sorted(stays, key=lambda each: (each.end, each.start))
    queued = [(former, latter) for former, latter in pairwise(in_order) if latter.start < former.end]
    if len(queued) < _FEWEST_QUEUED:
        return _queue_in_a_sample(stays) if len(queued) >= _FEWEST_OVERLAPPING else None
    between = sorted(latter.end - former.end for former, latter in queued)
    hold = round(median(between))
    close = _share_close(between, hold)
    _, at_most = clopper_pearson(round(close * len(between)), len(between))
    if at_most > _MOST_CLOSE or _share_of_close_starts(stays, hold) < max(
        _LEAST_CLOSE_STARTS, _TIMES_CLOSE_ENDS * close
    ):
        return None
    alone = [latter.end - latter.start for former, latter in pairwise(in_order) if latter.start >= former.end]
    usual = round(median(alone)) if len(alone) >= _FEWEST_ALONE else hold
    beyond = hold > _HELD_BEYOND * usual
    waits = tuple(
        (latter, max(0, latter.end - latter.start - usual) if beyond else former.end - latter.start)
        for former, latter in queued
    )
    return _Queue(hold, close, waits)


def _queue_in_a_sample(stays: Sequence[_Stay]) -> _Queue | None:
    """Return the queue that the requests' first stays form, of which few overlap; None where chance explains that.

    The stays that they waited for were not recorded, so that all but the time of a call alone counts as wait. Later
    stays of a request begin when earlier ones end, in whatever order those of others do. The code of one process takes
    turns on its processor, so that only calls count.
    """
    if any(each.node.children or each.node.span.kind not in _CALLS for each in stays):
        return None
    first: dict[int, _Stay] = {}
    for each in stays:
        if each.request >= 0:
            first.setdefault(each.request, each)
    arrived = sorted(first.values(), key=lambda each: each.start)
    took = [each.end - each.start for each in arrived]
    alone = quantile(sorted(took), UNHINDERED) if took else 0.0
    overlapping = sum(latter.start < former.end for former, latter in pairwise(arrived))
    if overlapping < _FEWEST_OVERLAPPING:
        return None
    if not _TIMES_FASTEST * alone <= fmean(took) <= _MOST_TIMES_FASTEST * alone:
        return None
    starts = [each.start for each in arrived]
    exceptions = _out_of_turn(starts, took, _APART * alone)
    if exceptions > _MOST_EXCEPTIONS * len(starts):
        return None
    source = random.Random(_SEED)  # noqa: S311  # a test by permutation, nothing secret
    shuffled = (_out_of_turn(starts, source.sample(took, len(took)), _APART * alone) for _ in range(_SHUFFLES))
    if sum(each <= exceptions for each in shuffled) > _MOST_BY_CHANCE * _SHUFFLES:
        return None
    waits = tuple((each, max(0, each.end - each.start - round(alone))) for each in stays)
    return _Queue(round(alone), 0.0, waits)


def _out_of_turn(starts: Sequence[int], took: Sequence[int], apart: float) -> int:
    """Return how many calls, in the order of their starts, end less than so long after the one before, or before it."""
    ends = [start + each for start, each in zip(starts, took, strict=True)]
    return sum(latter - former < apart for former, latter in pairwise(ends))


def _share_of_close_starts(stays: Sequence[_Stay], hold: int) -> float:
    starts = sorted(each.start for each in stays)
    return _share_close(sorted(latter - former for former, latter in pairwise(starts)), hold)


def _share_close(sorted_times: Sequence[int], usual: int) -> float:
    return bisect_left(sorted_times, _CLOSE * usual) / len(sorted_times)


def _candidate(service: str, operation: str, queue: _Queue, paths: PathTimes, requests: Sequence[Request]) -> Candidate:
    waited = [0.0] * len(requests)
    for stay, wait in queue.waits:
        if stay.request >= 0:
            on_path = paths.own(stay.request, stay.node, stay.start, stay.start + wait)
            waited[stay.request] += on_path / _NANOSECONDS
    share = sum(waited) / total_seconds(requests)
    longest = sorted(range(len(requests)), key=lambda number: -waited[number])[:3]
    return Candidate(
        bottleneck=_class_of(queue),
        service=service,
        operation=operation,
        saving=Saving(work=(0.0,) * len(requests), wait=tuple(waited), model_error=QUEUE_MODEL_ERROR),
        evidence=(
            f"{len(queue.waits)} spans {operation!r} of {service} queued: they ended {queue.hold / 1e6:.1f} ms apart",
            f"only {queue.close:.0%} ended less than half of that after the one before; starts came closer together",
            f"requests wait {fmean(waited) * 1e3:.1f} ms for their turn on average, {share:.0%} of their time",
        ),
        trace_ids=tuple(requests[number].root.span.trace_id for number in longest),
        predictor="queueing: without the wait for its turn",
    )


def _class_of(queue: _Queue) -> Bottleneck:
    """Return the class: a statement that locks rows waits for a row, anything else for a lock outside the database."""
    span = queue.waits[0][0].node.span
    rows = is_database_call(span) and _LOCKS_ROWS.match(summary_of(span))
    return Bottleneck.HOT_ROW if rows else Bottleneck.SERIAL_RESOURCE

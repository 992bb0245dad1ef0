"""Detector of a concurrency limit: requests wait, because only a few calls of an operation run at the same time.

A worker pool, a semaphore, the threads of a server, or the connections of a client look like this. Where only one runs
at a time it is a lock, or a pool of one. A caller with as many connections that is idle otherwise shows no wait: while
it prepares the next call, it does not run one, so that the limit is not reached.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import LEAST_SHARE, Candidate
from observability.analysis.detectors.concurrency import ConcurrencyLimit, Start, limit_of
from observability.analysis.detectors.path_times import PathTimes
from observability.analysis.detectors.starts import Group, starts_by_group
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, total_seconds
from observability.analysis.whatif import QUEUE_MODEL_ERROR, Saving

_NANOSECONDS = 1e9
_WAIT_TIME = "db.client.connection.wait_time"
# Two groups whose waits are the same for this share are limited by one thing.
_SAME = 0.5


@dataclass(frozen=True, slots=True)
class _Limited:
    """A limited group, and the seconds that each request waited on its path."""

    group: Group
    limit: ConcurrencyLimit
    waited: tuple[float, ...]

    @property
    def total(self) -> float:
        return sum(self.waited)


def find_concurrency_limit(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each operation, server or database client with a limit; the fix saves the wait for it."""
    paths = PathTimes(requests)
    least = LEAST_SHARE * total_seconds(requests)
    limited = []
    for group, starts in starts_by_group(observation, requests).items():
        if _may_wait(starts, least) and (limit := limit_of(starts)) is not None:
            found = _Limited(group, limit, _waited_seconds(starts, limit, paths, len(requests)))
            if found.total >= least:
                limited.append(found)
    return [_candidate(each, requests) for each in _distinct(limited)]


def _may_wait(starts: Sequence[Start], least: float) -> bool:
    """Return whether requests may wait so many seconds for members: at most from when each was ready to its start.

    Members that were started at once wait for each other as well, which is left to be measured.
    """
    waited = 0
    for each in starts:
        if each.request >= 0:
            if each.siblings > 1:
                return True
            waited += max(0, each.start - each.ready)
    return waited >= least * _NANOSECONDS


def _waited_seconds(
    starts: Sequence[Start], limit: ConcurrencyLimit, paths: PathTimes, requests: int
) -> tuple[float, ...]:
    """Return for each request the time on its path that it waited for members to start.

    Members that were started at once would all run beside the longest of them.
    """
    waited = [0] * requests
    held_up = {id(each) for each in limit.waits}
    at_once: dict[tuple[int, str], list[Start]] = defaultdict(list)
    for each in starts:
        if each.request < 0:
            continue
        if each.siblings > 1:
            at_once[each.request, each.parent.span.span_id].append(each)
        elif id(each) in held_up:
            waited[each.request] += paths.own(each.request, each.parent, each.ready + limit.floor, each.start)
    for (request, _), members in at_once.items():
        if any(id(each) in held_up for each in members):
            waited[request] += _one_after_the_other(request, members, limit, paths)
    return tuple(each / _NANOSECONDS for each in waited)


def _one_after_the_other(request: int, members: Sequence[Start], limit: ConcurrencyLimit, paths: PathTimes) -> int:
    ready, ended = min(each.ready for each in members), max(each.end for each in members)
    spent = paths.own(request, members[0].parent, ready, ended)
    spent += paths.below(request, (each.top for each in members), ready, ended)
    return max(0, spent - limit.floor - max(each.end - each.start for each in members))


def _distinct(limited: Sequence[_Limited]) -> list[_Limited]:
    """Return the limits without those whose waits a larger one explains; of equal ones, the more general."""
    kept: list[_Limited] = []
    for each in sorted(limited, key=lambda each: (-round(each.total, 6), each.group.operation != "")):
        common = (sum(map(min, each.waited, other.waited)) for other in kept)
        if all(shared < _SAME * each.total for shared in common):
            kept.append(each)
    return kept


def _candidate(found: _Limited, requests: Sequence[Request]) -> Candidate:
    group, limit = found.group, found.limit
    what = _what(group)
    serial = limit.most == 1
    share = found.total / total_seconds(requests)
    return Candidate(
        bottleneck=_class_of(found),
        service=group.service,
        operation=group.operation,
        saving=Saving(work=(0.0,) * len(requests), wait=found.waited, model_error=QUEUE_MODEL_ERROR),
        evidence=(
            f"at most {limit.most} of the {what} of {group.service} ran at the same time"
            + ("" if serial else f"; that many ran in {limit.busy_share:.0%} of the time in which any ran"),
            f"{len(limit.waits)} waited to start; {_shown_by(limit)}",
            f"requests wait {fmean(found.waited) * 1e3:.1f} ms to start on average, {share:.0%} of their time",
        ),
        trace_ids=_longest_waits(found, requests),
        predictor="queueing: without the wait for its turn" if serial else "queueing: without the wait to start",
    )


def _class_of(found: _Limited) -> Bottleneck:
    if found.limit.most == 1:
        return Bottleneck.SERIAL_RESOURCE
    if found.group.database and not _connections_are_known(found.limit.waits):
        return Bottleneck.POOL
    return Bottleneck.CONCURRENCY_LIMIT


def _connections_are_known(waits: Sequence[Start]) -> bool:
    """Return whether spans record how long they waited for a connection; then the wait before them is another one."""
    return any(_WAIT_TIME in each.top.span.attributes for each in waits)


def _what(group: Group) -> str:
    if group.database:
        return f"transactions of {group.operation!r}" if group.operation else f"transactions in {group.database}"
    return f"spans {group.operation!r}" if group.operation else "requests"


def _shown_by(limit: ConcurrencyLimit) -> str:
    if limit.hand_overs:
        return f"{limit.hand_overs} of them started just when one of {limit.most} ended"
    running = "one was running" if limit.most == 1 else f"{limit.most} were running"
    return f"{running} in {limit.share_at_limit:.0%} of that waiting time"


def _longest_waits(found: _Limited, requests: Sequence[Request], count: int = 3) -> tuple[str, ...]:
    longest = sorted(range(len(requests)), key=lambda number: -found.waited[number])[:count]
    return tuple(requests[number].root.span.trace_id for number in longest)

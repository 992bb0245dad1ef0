"""Detector of CPU-bound code: a service's own code takes the time, and the processor works on it.

Requests wait for the service's own code, and the processor time is spent on these requests: code that sleeps or waits
for a lock keeps more requests waiting than the processor time accounts for, and a process that is busy with something
else uses more of it than they can need. One of two more things must be so:

- The process is near its own limit or, where that is unknown, waits for a processor. Then it also reads the answers of
  its calls late: what these take beyond the fastest tenth of their kind is counted as such a wait.
- A single stretch of code takes long, even where the processor is idle otherwise. Many short ones are ordinary work.

How long code takes depends on how full its processor is: x seconds of work take x / (1 - utilisation) on one processor
(M/G/1 processor sharing) and less on several (M/M/c, Erlang C). So the work lies between the time in the code and that
time divided by the longest stretch.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.operations import operation_of
from observability.analysis.critical_path import PathSegment
from observability.analysis.detectors.candidate import LEAST_SHARE, Candidate
from observability.analysis.detectors.opaque_calls import OpaqueCalls, Operation, opaque_calls
from observability.analysis.detectors.process_stalls import is_own, paths_of
from observability.analysis.detectors.service_processors import processor_uses, window
from observability.analysis.observation import Observation
from observability.analysis.processor_use import ProcessorUse
from observability.analysis.requests import Request, longest, total_seconds
from observability.analysis.whatif import MOST_UTILISATION, Saving, stretch_of_queue

_NANOSECONDS = 1e9
# Uses are means over scrapes that do not begin and end with the requests; code outside of spans uses time as well.
_TOLERANCE = 2.0
# Code that stops for a fifth of its time or more waits for something; only a full processor explains such a wait.
_LEAST_AT_WORK = 0.8
# W3C's Long Tasks API calls a piece of work long from here on: users notice it, and it delays all others in its thread.
_LONG_SECONDS = 0.050
# Assumed share of the work that is left after the fix. Traces do not show how much of it is needless.
_WORK_LEFT_BY_FIX = 0.5
# So a fix may gain nothing, or twice as much.
_MODEL_ERROR = 1.0
# An operation with this share of the time in a service's code is named as the place.
_MAIN_OPERATION_SHARE = 0.5


def find_cpu_bound(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each processor whose work requests wait for; the fix halves the work of its code."""
    if not requests or not (observation.scrapes or observation.processes):
        return []
    on_one: dict[ProcessorUse, list[str]] = defaultdict(list)
    for service, use in processor_uses(observation, requests).items():
        on_one[use].append(service)
    calls = opaque_calls(requests)
    least = LEAST_SHARE * total_seconds(requests)
    candidates = []
    for use, services in on_one.items():
        code = _Code.of(services, calls, requests, is_full=use.is_full)
        if code.seconds < least:
            continue
        at_once = _requests_at_once(services, code, observation, requests)
        if _is_spent_on(use, at_once):
            candidates.append(_candidate(use, code, at_once, requests))
    return candidates


@dataclass(frozen=True, slots=True)
class _Code:
    """The own code of the services in one process that requests wait for: of an idle processor only long stretches.

    service, operation: those with most of the time; the operation is empty where none has half of it.
    by_request: seconds in each request, with what its calls wait for the processor.
    late_seconds: of these, in all requests, the waits of calls.
    is_full: whether the processor is full.
    """

    service: str
    operation: str
    by_request: tuple[float, ...]
    late_seconds: float
    is_full: bool

    @property
    def seconds(self) -> float:
        """The time in all requests together."""
        return sum(self.by_request)

    @classmethod
    def of(
        cls,
        services: Iterable[str],
        calls: Mapping[Operation, OpaqueCalls],
        requests: Sequence[Request],
        *,
        is_full: bool,
    ) -> "_Code":
        names = frozenset(services)
        by_service, by_operation = Counter[str](), Counter[tuple[str, str]]()
        by_request = []
        for request in requests:
            stretches = list(_stretches(request, names))
            if not is_full:
                stretches = [each for each in stretches if _seconds(each) >= _LONG_SECONDS]
            by_request.append(sum(map(_seconds, stretches)))
            for segment in chain.from_iterable(stretches):
                span = segment.node.span
                by_service[span.service] += segment.duration_nanoseconds
                by_operation[span.service, operation_of(span)] += segment.duration_nanoseconds
        late = 0.0
        for (service, _), each in calls.items() if is_full else ():
            if service in names and not each.is_server:
                late += _add_late(by_request, each)
        service = max(by_service, key=lambda name: (by_service[name], name), default="")
        operation = next(
            (name for (of, name), spent in by_operation.items() if of == service and spent >= _most(by_service, of)), ""
        )
        return cls(service, operation, tuple(by_request), late, is_full)


def _stretches(request: Request, services: frozenset[str]) -> Iterator[list[PathSegment]]:
    """Yield the pieces of a path in which it waits for these services' own code alone, each as its segments."""
    for is_code, segments in groupby(
        request.path, key=lambda each: is_own(each) and each.node.span.service in services
    ):
        if is_code:
            yield list(segments)


def _add_late(by_request: list[float], calls: OpaqueCalls) -> float:
    """Add to each request what its calls take beyond the fastest tenth; return the sum."""
    usual, late = calls.fastest_seconds, 0.0
    for (number, _), seconds in calls.seconds.items():
        beyond = max(0.0, seconds - usual)
        by_request[number] += beyond
        late += beyond
    return late


def _most(by_service: Counter[str], service: str) -> float:
    return _MAIN_OPERATION_SHARE * by_service[service]


def _seconds(segments: Iterable[PathSegment]) -> float:
    return sum(each.duration_nanoseconds for each in segments) / _NANOSECONDS


def _requests_at_once(
    services: Sequence[str], code: _Code, observation: Observation, requests: Sequence[Request]
) -> float:
    """Return how many requests of all operations are in the services' code at the same time, on average.

    Calls that wait for their processor count.
    """
    start, end = window(requests)
    in_code = sum(
        _seconds(each for each in path if is_own(each) and each.node.span.service in services)
        for path in paths_of(observation, requests)
    )
    read = observation.coverage.share if observation.coverage else 1.0
    seconds = end - start
    return (in_code + code.late_seconds) / seconds / read if seconds and read else 0.0


def _is_spent_on(use: ProcessorUse, at_once: float) -> bool:
    """Return whether the processor time may be the work of the requests in the code: neither far more nor far less."""
    speed = min(1.0, use.limit or 1.0)
    most, least = at_once * speed, at_once * speed / _stretch(use)
    least_used = least / _TOLERANCE if use.is_full else _LEAST_AT_WORK * least
    return most >= use.used / _TOLERANCE and use.used >= least_used


def _stretch(use: ProcessorUse) -> float:
    """Return how many times as long as its work code takes, as measured or else as queueing theory has it."""
    measured = 1 / (1 - min(use.waiting_share, MOST_UTILISATION))
    return max(measured, stretch_of_queue(use.limit or 1.0, use.fullness or 0.0))


def _candidate(use: ProcessorUse, code: _Code, at_once: float, requests: Sequence[Request]) -> Candidate:
    none = (0.0,) * len(requests)
    before = use.waiting_share if use.fullness is None else use.fullness
    if use.others:
        # Less work on a shared processor makes all other code on it faster, too: `predict` has the formula for that.
        saving, utilisation = (
            Saving(
                work=tuple((1 - _WORK_LEFT_BY_FIX) * each for each in code.by_request),
                wait=none,
                model_error=_MODEL_ERROR,
            ),
            None,
        )
    else:
        count = use.limit or 1.0
        left = _WORK_LEFT_BY_FIX * stretch_of_queue(count, _WORK_LEFT_BY_FIX * before) / stretch_of_queue(count, before)
        wait = tuple((1 - left) * each for each in code.by_request)
        saving, utilisation = Saving(work=none, wait=wait, model_error=_MODEL_ERROR), before
    each_ms, share = code.seconds / len(requests) * 1e3, code.seconds / total_seconds(requests)
    takes = f"code of {code.service} takes {each_ms:.1f} ms of a request, {share:.0%} of its time"
    if code.late_seconds:
        late = code.late_seconds / len(requests) * 1e3
        takes += f"; {late:.1f} ms of that are calls whose answers it may have read late"
    return Candidate(
        bottleneck=Bottleneck.CPU_BOUND,
        service=code.service,
        operation=code.operation,
        saving=saving,
        evidence=(
            takes,
            use.sentence(),
            f"{at_once:.2g} requests are in this code at the same time, as many as its processor time explains",
        ),
        trace_ids=longest(requests),
        predictor="queueing: the same code with half the work, or on processors twice as fast",
        utilisation=utilisation,
        late_share=code.late_seconds / code.seconds,
        doubts=() if code.is_full else ("the processor has capacity left: all of this work may be needed",),
    )

"""Detector of a slow call: one statement or RPC without spans below it takes much of the time by itself.

The call is slow each time, not frequent: repeated calls are other classes. A wait for a lock, a limit or a pool within
the call looks the same in one trace; where all traces together show such a wait, that class is named instead.

A caller whose processor is full reads the answer late: then only the fastest calls tell how long the callee takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import LEAST_SHARE, Candidate
from observability.analysis.detectors.opaque_calls import OpaqueCalls, Operation, opaque_calls
from observability.analysis.detectors.service_processors import on_full_processors
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, total_seconds
from observability.analysis.whatif import Saving

# A statement that uses an index and a call within one site take a few milliseconds: what is faster is not slow.
SLOW_SECONDS = 0.010
# Where a service's other calls are about as slow, something else slows all of them.
_TIMES_OTHERS = 3.0
# So many calls that overlapped tell whether they wait for each other; the search for a serial resource needs as many.
_FEWEST_OVERLAPPING = 20
# Where calls vary by so much beyond the fastest tenth, what they may wait for is as much as the rest. Of few calls the
# fastest tenth may have waited too, so that half as much is enough.
_TIMES_FASTEST, _TIMES_FASTEST_OF_FEW = 2.0, 1.5
_FEW_CALLS = 30
# How fast the call could be is unknown. The assumed fix makes it as fast as others; half of that gain is as likely.
_MODEL_ERROR = 0.5


@dataclass(frozen=True, slots=True)
class _SlowCall:
    """A call that may be slow.

    mean_seconds: that the callee takes for one.
    spent: for each request, its path's time in such calls that the callee takes, in seconds.
    late: whether the caller reads the answers late, so that the spans are longer than that.
    """

    calls: OpaqueCalls
    mean_seconds: float
    spent: tuple[float, ...]
    late: bool

    @classmethod
    def of(cls, calls: OpaqueCalls, requests: int, *, late: bool) -> "_SlowCall":
        if not late:
            return cls(calls, calls.mean_seconds, tuple(calls.spent(requests)), late)
        most = calls.fastest_seconds
        spent = [0.0] * requests
        for (number, _), seconds in calls.seconds.items():
            spent[number] += min(seconds, most)
        return cls(calls, min(most, calls.mean_seconds), tuple(spent), late)

    def share_of_one(self, requests: Sequence[Request]) -> float:
        """Return the share that one call takes of a request that makes it."""
        making = (request.seconds for request, spent in zip(requests, self.spent, strict=True) if spent)
        return self.mean_seconds / fmean(making)


def find_slow_call(observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each operation of which one call takes long; the fix makes it a fast one."""
    full = on_full_processors(observation, requests)
    calls = {
        operation: _SlowCall.of(each, len(requests), late=operation[0] in full)
        for operation, each in opaque_calls(requests).items()
    }
    return [
        _candidate(operation, each, requests)
        for operation, each in calls.items()
        if each.mean_seconds >= SLOW_SECONDS
        and each.share_of_one(requests) >= LEAST_SHARE
        and each.mean_seconds >= _TIMES_OTHERS * _usual_seconds(operation, calls)
    ]


def _usual_seconds(operation: Operation, calls: Mapping[Operation, _SlowCall]) -> float:
    """Return the median duration of the service's other calls of the same kind; 0 when there are none."""
    service, _ = operation
    others = [
        each.mean_seconds
        for other, each in calls.items()
        if other != operation and other[0] == service and each.calls.is_statement == calls[operation].calls.is_statement
    ]
    return median(others) if others else 0.0


def _candidate(operation: Operation, slow: _SlowCall, requests: Sequence[Request]) -> Candidate:
    service, name = operation
    share = sum(slow.spent) / total_seconds(requests)
    what = "statement" if slow.calls.is_statement else "call"
    takes = f"{name!r} of {service} takes {slow.calls.mean_seconds * 1e3:.1f} ms on average; it has no spans below it"
    if slow.late:
        takes = (
            f"{name!r} of {service} takes {slow.mean_seconds * 1e3:.1f} ms; it has no spans below it. The rest of its "
            f"{slow.calls.mean_seconds * 1e3:.1f} ms may be the wait for the processor of {service}, which is full"
        )
    return Candidate(
        bottleneck=Bottleneck.SLOW_CALL,
        service=service,
        operation=name,
        # Nothing says whether the shared processor works meanwhile; the lower gain, of a wait, is assumed.
        saving=Saving(work=(0.0,) * len(requests), wait=_beyond(slow), model_error=_MODEL_ERROR),
        evidence=(
            takes,
            f"requests wait for it for {share:.0%} of their time; a fix can gain no more than that",
            f"{len(slow.calls.seconds) / len(requests):.2f} such {what}s per request",
        ),
        trace_ids=_slowest(slow, requests),
        predictor="path: the call takes 10 ms",
        doubts=_doubts(slow),
        undecided=_undecided(slow),
    )


def _doubts(slow: _SlowCall) -> tuple[str, ...]:
    """Return a sentence if the fastest calls are fast: then something else delays the other calls."""
    if (fastest := slow.calls.fastest_seconds) >= SLOW_SECONDS:
        return ()
    return (
        f"a tenth of these calls takes at most {fastest * 1e3:.1f} ms: what the others carry or wait for is unknown",
    )


def _undecided(slow: _SlowCall) -> str:
    """Return a sentence where the calls may wait for each other: they vary widely, and too few overlapped to tell.

    A sample of the traces looks like that: a lock or a limit shows only where most of its users were recorded.
    """
    fastest, mean, overlapping = slow.calls.fastest_seconds, slow.calls.mean_seconds, slow.calls.overlapping()
    times = _TIMES_FASTEST if len(slow.calls.durations) >= _FEW_CALLS else _TIMES_FASTEST_OF_FEW
    if mean < times * fastest or overlapping >= _FEWEST_OVERLAPPING or slow.late:
        return ""
    return (
        f"these calls take {mean * 1e3:.0f} ms on average but {fastest * 1e3:.0f} ms at their fastest, and only "
        f"{overlapping} of them overlapped: too few to tell whether they wait for each other"
    )


def _beyond(slow: _SlowCall) -> tuple[float, ...]:
    """Return for each request the time that its calls take beyond fast ones."""
    made = slow.calls.made()
    return tuple(max(0.0, spent - made[number] * SLOW_SECONDS) for number, spent in enumerate(slow.spent))


def _slowest(slow: _SlowCall, requests: Sequence[Request], count: int = 3) -> tuple[str, ...]:
    """Return the trace ids of the requests that waited longest for the call."""
    slowest = sorted(range(len(requests)), key=lambda number: -slow.spent[number])[:count]
    return tuple(requests[number].root.span.trace_id for number in slowest)

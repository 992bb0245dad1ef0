"""Detector of a retry storm: requests wait for failed attempts and back-off of calls that are retried."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.conventions.operations import operation_of
from observability.analysis.detectors.candidate import UNHINDERED, Candidate
from observability.analysis.detectors.database_calls import beyond, durations
from observability.analysis.observation import Observation
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest, total_seconds
from observability.analysis.retries import LogicalCall
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# One retry in ten calls; fewer retries are normal.
LEAST_ATTEMPTS = 1.1
# With so many attempts per call, half of the servers' work is wasted, and useful work queues behind it.
HINDERING_ATTEMPTS = 2.0
# Retries are reported when they cost at least this share of the requests' time.
_REPORTED_SHARE = 0.01
_MOST_SENTENCES = 3

Operation = tuple[str, str, SpanKind]
Called = tuple[object, object]


@dataclass(slots=True)
class Retried:
    """The attempts at one call over all requests.

    service, operation: the caller, and the span's operation.
    called: address and port of the server, as the spans record them.
    calls, attempts: logical calls, and attempts at them.
    served: attempts with a server span; 0 when servers record no spans.
    lost_seconds: for each request, the time in failed attempts and back-off.
    hindered_seconds: for each request, the excess of its last attempts over undisturbed ones.
    """

    service: str
    operation: str
    called: Called
    calls: int
    attempts: int
    served: int
    lost_seconds: list[float] = field(default_factory=list)
    hindered_seconds: list[float] = field(default_factory=list)

    @property
    def attempts_per_call(self) -> float:
        """The mean number of attempts per call, 1 without retries."""
        return self.attempts / self.calls

    @property
    def is_storm(self) -> bool:
        """Whether there are clearly more attempts than calls.

        If servers record spans, their attempts count: attempts that reach no server cause no load.
        """
        return min(self.attempts, self.served or self.attempts) >= LEAST_ATTEMPTS * self.calls

    @property
    def saved_seconds(self) -> list[float]:
        """The time that each request would save; if half of the work was wasted, the last attempt had queued too."""
        if self.served < HINDERING_ATTEMPTS * self.calls:
            return self.lost_seconds
        return [lost + hindered for lost, hindered in zip(self.lost_seconds, self.hindered_seconds, strict=True)]

    def sentence(self, requests_seconds: float) -> str:
        """Return the figures as one sentence; `requests_seconds` is the total duration of the requests."""
        share = sum(self.lost_seconds) / requests_seconds
        return (
            f"{self.attempts_per_call:.2f} attempts per call of {self.operation} in {self.service}; "
            f"failed attempts and back-off take {share:.0%} of the requests' time"
        )


def find_retries(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Return a candidate for each client and server with clearly more attempts than calls; the fix saves the retries.

    A client retries all its calls of a server by one policy, so its operations form one candidate.
    """
    storms: dict[tuple[str, Called], list[Retried]] = defaultdict(list)
    for each in retried_calls(requests):
        if each.is_storm:
            storms[each.service, each.called].append(each)
    return [_candidate(storm, requests) for storm in storms.values()]


def _candidate(storm: Sequence[Retried], requests: Sequence[Request]) -> Candidate:
    """Return one candidate for all calls from a client to a server, named by the most expensive call."""
    whole, costliest = total_seconds(requests), storm[0]
    saved = (sum(seconds) for seconds in zip(*(each.saved_seconds for each in storm), strict=True))
    return Candidate(
        bottleneck=Bottleneck.RETRY_STORM,
        service=costliest.service,
        operation=costliest.operation,
        # A failed attempt may have used a processor or only waited; the lower gain, of a wait, is assumed.
        saving=Saving(work=(0.0,) * len(requests), wait=tuple(saved)),
        evidence=(costliest.sentence(whole), *_at_the_servers(costliest)),
        trace_ids=longest(requests),
        predictor="path: the first attempt succeeds, and takes as long as an undisturbed one",
    )


def retry_summaries(requests: Sequence[Request]) -> tuple[str, ...]:
    """Return a sentence for each retried call that cost a hundredth of the requests' time, the most expensive first."""
    whole = total_seconds(requests)
    worth = [each for each in retried_calls(requests) if sum(each.lost_seconds) >= _REPORTED_SHARE * whole]
    return tuple(each.sentence(whole) for each in worth[:_MOST_SENTENCES])


def retried_calls(requests: Sequence[Request]) -> list[Retried]:
    """Return the calls that were retried at least once, the most expensive first."""
    found: dict[Operation, list[tuple[int, LogicalCall]]] = defaultdict(list)
    for number, request in enumerate(requests):
        for call in request.retried:
            found[_operation(call.call)].append((number, call))
    if not found:
        return []
    seen = _spans(requests, found)
    retried = [_retried(operation, groups, seen[operation], len(requests)) for operation, groups in found.items()]
    return sorted(retried, key=lambda each: -sum(each.lost_seconds))


def _retried(
    operation: Operation, groups: Sequence[tuple[int, LogicalCall]], seen: Counter[str], requests: int
) -> Retried:
    service, name, _ = operation
    lost_seconds = [0.0] * requests
    for number, call in groups:
        lost_seconds[number] += call.lost_nanoseconds / _NANOSECONDS
    last = [(number, call.attempts[-1]) for number, call in groups]
    called = groups[0][1].call.attributes
    again = sum(len(call.attempts) - 1 for _, call in groups if call.attempts[0].span.kind is not SpanKind.SERVER)
    within = sum(len(call.attempts) - 1 for _, call in groups if call.attempts[0].span.kind is SpanKind.SERVER)
    return Retried(
        service=service,
        operation=name,
        called=(called.get("server.address"), called.get("server.port")),
        calls=seen["spans"] - again,
        attempts=seen["spans"] + within,
        served=seen["served"],
        lost_seconds=lost_seconds,
        hindered_seconds=list(beyond(last, quantile(sorted(durations(last)), UNHINDERED), requests)),
    )


def _spans(requests: Iterable[Request], operations: Iterable[Operation]) -> dict[Operation, Counter[str]]:
    """Return for each operation the number of its spans, and of the server spans directly below them."""
    counts = {operation: Counter[str]() for operation in operations}
    names = {name for _, name, _ in counts}
    for request in requests:
        for node in request.nodes:
            span = node.span
            if operation_of(span) in names and (count := counts.get(_operation(span))) is not None:
                count["spans"] += 1
                count["served"] += _served(node)
    return counts


def _operation(span: Span) -> Operation:
    return span.service, operation_of(span), span.kind


def _served(node: Node) -> int:
    return sum(child.span.kind is SpanKind.SERVER for child in node.children)


def _at_the_servers(each: Retried) -> tuple[str, ...]:
    if not each.served:
        return ()
    return (f"servers received {each.served / each.calls:.2f} attempts per call",)

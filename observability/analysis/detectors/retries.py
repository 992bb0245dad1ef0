"""Retry storm: are calls tried again and again, so that requests wait for attempts that were of no use?"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.detectors.candidate import UNHINDERED, Candidate
from observability.analysis.detectors.database_calls import beyond, durations
from observability.analysis.observation import Observation
from observability.analysis.quantiles import quantile
from observability.analysis.requests import Request, longest, whole_seconds
from observability.analysis.retries import LogicalCall, logical_calls
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import Node
from observability.analysis.whatif import Saving

_NANOSECONDS = 1e9
# Of ten calls one that is tried twice: fewer are what retries are for.
LEAST_ATTEMPTS = 1.1
# With so many for each call, half of what servers do is for nobody, and what is of use waits behind it.
HINDERING_ATTEMPTS = 2.0
# Retries that cost less than this share of the requests' time are not worth a word.
_WORTH_A_WORD = 0.01
_MOST_SENTENCES = 3

Operation = tuple[str, str, SpanKind]
Called = tuple[object, object]


@dataclass(slots=True)
class Retried:
    """What the attempts at one call were, over all requests: the span `operation` of the service that calls.

    `called` is where they went, as the spans have it. `lost_seconds` is what failed attempts and back-off took of each
    request, `hindered_seconds` how much longer its last attempts took than unhindered ones do. `served` of the attempts
    were seen by a server, 0 where servers write no spans.
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
    def attempts_a_call(self) -> float:
        """How many attempts a call took, 1 when all went well."""
        return self.attempts / self.calls

    @property
    def is_storm(self) -> bool:
        """Whether there are clearly more attempts than calls, at the servers too where these can be seen.

        Attempts that reach nobody load nobody.
        """
        return min(self.attempts, self.served or self.attempts) >= LEAST_ATTEMPTS * self.calls

    @property
    def saved_seconds(self) -> list[float]:
        """What each request would be spared; where half of the work was in vain, the last attempt had to queue, too."""
        if self.served < HINDERING_ATTEMPTS * self.calls:
            return self.lost_seconds
        return [lost + hindered for lost, hindered in zip(self.lost_seconds, self.hindered_seconds, strict=True)]

    def sentence(self, whole_seconds: float) -> str:
        """Say it; `whole_seconds` is what all requests took."""
        share = sum(self.lost_seconds) / whole_seconds
        return (
            f"{self.attempts_a_call:.2f} attempts a call of {self.operation} in {self.service}; "
            f"failed attempts and back-off take {share:.0%} of the time"
        )


def find_retries(_observation: Observation, requests: Sequence[Request]) -> list[Candidate]:
    """Calls that take clearly more than one attempt: what requests would take if the first had been the last.

    One client repeats all its calls of a server by one policy, whatever the method, so that these go together.
    """
    storms: dict[tuple[str, Called], list[Retried]] = defaultdict(list)
    for each in retried_calls(requests):
        if each.is_storm:
            storms[each.service, each.called].append(each)
    return [_suspect(storm, requests) for storm in storms.values()]


def _suspect(storm: Sequence[Retried], requests: Sequence[Request]) -> Candidate:
    """Take all of a client's calls of a server together; the one that costs most gives the name."""
    whole, costliest = whole_seconds(requests), storm[0]
    saved = (sum(seconds) for seconds in zip(*(each.saved_seconds for each in storm), strict=True))
    return Candidate(
        bottleneck=Bottleneck.RETRY_STORM,
        service=costliest.service,
        operation=costliest.operation,
        # It is not known whether an attempt that failed kept a processor busy or only waited.
        saving=Saving(work=(0.0,) * len(requests), wait=tuple(saved)),
        evidence=(costliest.sentence(whole), *_at_the_servers(costliest)),
        trace_ids=longest(requests),
        predictor="path: the first attempt is the last, and takes what unhindered ones do",
    )


def retries_in_words(requests: Sequence[Request]) -> tuple[str, ...]:
    """Say which calls were tried more than once, where that cost a hundredth of the time, the costliest first."""
    whole = whole_seconds(requests)
    worth = [each for each in retried_calls(requests) if sum(each.lost_seconds) >= _WORTH_A_WORD * whole]
    return tuple(each.sentence(whole) for each in worth[:_MOST_SENTENCES])


def retried_calls(requests: Sequence[Request]) -> list[Retried]:
    """Give the calls of which at least one took more than one attempt, those that cost most first."""
    found: dict[Operation, list[tuple[int, LogicalCall]]] = defaultdict(list)
    for number, request in enumerate(requests):
        for call in logical_calls(request.root, request.path):
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
    """Count the spans of each operation, and the spans of servers right below these."""
    counts = {operation: Counter[str]() for operation in operations}
    for request in requests:
        for node in request.root.walk():
            if (count := counts.get(_operation(node.span))) is not None:
                count["spans"] += 1
                count["served"] += _served(node)
    return counts


def _operation(span: Span) -> Operation:
    return span.service, span.name, span.kind


def _served(node: Node) -> int:
    return sum(child.span.kind is SpanKind.SERVER for child in node.children)


def _at_the_servers(each: Retried) -> tuple[str, ...]:
    if not each.served:
        return ()
    return (f"servers saw {each.served / each.calls:.2f} for each call that was meant",)

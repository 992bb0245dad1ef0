"""Failures: the operation in which a failed request first failed, and operations that vanished since the baseline."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from observability.analysis.comparison import Estimate, clopper_pearson
from observability.analysis.conventions.operations import operation_of
from observability.analysis.requests import Request
from observability.analysis.span_status import failed
from observability.analysis.trees import Node

# Without a baseline so many requests fail for sure that no objective allows it.
_MANY = 0.05
# With a baseline it is enough that clearly more fail than then; fewer than one in a hundred are left to objectives.
_SOME = 0.01
# An operation has vanished where at most this part of its usual calls is left, and this many would be usual.
_VANISHED_SHARE = 0.10
_FEWEST_EXPECTED = 10.0
_MOST_TRACES = 3

Operation = tuple[str, str]


class FailureKind(StrEnum):
    """How an operation fails: its requests fail, or it is no longer called."""

    FAILING = "failing"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An operation that fails or vanished.

    service, operation: where the failures begin, or what is no longer called.
    share: of all requests, 0 to 1, that fail because of it or still call it, with a 95 % interval.
    before: the same in the baseline; None without one.
    error: the most frequent error of the operation; empty when it is not recorded.
    trace_ids: of requests that fail because of it; empty for a vanished operation.
    """

    kind: FailureKind
    service: str
    operation: str
    share: Estimate
    before: Estimate | None
    error: str = ""
    trace_ids: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return the failure in words."""
        then = f" ({self.before.value:.1%} in the baseline)" if self.before else ""
        where = f"{self.operation} of {self.service}"
        if self.kind is FailureKind.VANISHED:
            return f"{self.share.value:.1%} of the requests{then} call {where}"
        error = f" with {self.error}" if self.error else ""
        share = f"{self.share.value:.1%} ({100 * self.share.low:.1f}-{100 * self.share.high:.1f}%)"
        return f"{share} of the requests fail{then}; the failures begin in {where}{error}"


def find_failures(requests: Sequence[Request], baseline: Sequence[Request] | None) -> tuple[Failure, ...]:
    """Return what fails, the most frequent first, and then what vanished.

    Rejections that are valid answers, such as NOT_FOUND, are no failures, and neither are attempts that were repeated
    with success: the request as a whole must fail.
    """
    failing = sorted(_failing(requests, baseline), key=lambda each: -each.share.value)
    return (*failing, *(_vanished(requests, baseline) if baseline else ()))


def _failing(requests: Sequence[Request], baseline: Sequence[Request] | None) -> Iterator[Failure]:
    before = Counter(_name(origin) for _, origin in _origins(baseline or ()))
    groups: dict[Operation, list[tuple[str, Node]]] = defaultdict(list)
    for trace_id, origin in _origins(requests):
        groups[_name(origin)].append((trace_id, origin))
    for name, origins in groups.items():
        share = _share(len(origins), len(requests))
        then = _share(before[name], len(baseline)) if baseline else None
        if share.low < _MANY and not (then and share.low > max(then.high, _SOME)):
            continue
        if then and share.low <= then.high:
            # As many failed in the baseline.
            continue
        errors = Counter(error for _, origin in origins if (error := _error(origin)))
        yield Failure(
            kind=FailureKind.FAILING,
            service=name[0],
            operation=name[1],
            share=share,
            before=then,
            error=errors.most_common(1)[0][0] if errors else "",
            trace_ids=tuple(dict.fromkeys(trace_id for trace_id, _ in origins))[:_MOST_TRACES],
        )


def _origins(requests: Iterable[Request]) -> Iterator[tuple[str, Node]]:
    """Yield for each failed request its trace id and the span in which its failure began.

    From the root down it is the failed child that ended last: its failure is the one that made its parent fail.
    """
    for request in requests:
        node = request.root
        if not failed(node.span):
            continue
        while children := [child for child in node.children if failed(child.span)]:
            node = max(children, key=lambda child: child.span.end_nanoseconds)
        yield request.root.span.trace_id, node


def _vanished(requests: Sequence[Request], baseline: Sequence[Request]) -> Iterator[Failure]:
    """Yield the operations that requests called in the baseline and hardly call now, without those below them.

    An operation in whose place its caller calls a new one was renamed or replaced.
    """
    now, then = _Calls(requests), _Calls(baseline)
    gone: dict[Operation, Failure] = {}
    for name, usual in then.share_for(now).items():
        share = _share(now.requests_with[name], now.count)
        if usual * now.count >= _FEWEST_EXPECTED and share.value <= _VANISHED_SHARE * usual and share.high < usual / 2:
            before = _share(then.requests_with[name], then.count)
            gone[name] = Failure(
                kind=FailureKind.VANISHED, service=name[0], operation=name[1], share=share, before=before
            )
    for name, failure in gone.items():
        callers = then.callers[name] - gone.keys()
        if callers and not any(now.callees[caller] - then.callees[caller] for caller in callers):
            yield failure


class _Calls:
    """Which operations requests call, by the operation that was requested."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.count = len(requests)
        self.requests_with = Counter[Operation]()
        self.callers: dict[Operation, set[Operation]] = defaultdict(set)
        self.callees: dict[Operation, set[Operation]] = defaultdict(set)
        self._by_root: dict[Operation, Counter[Operation]] = defaultdict(Counter)
        self.roots = Counter[Operation]()
        for request in requests:
            self.roots[_name(request.root)] += 1
            called = set()
            for node in request.nodes:
                for child in node.children:
                    called.add(_name(child))
                    self.callers[_name(child)].add(_name(node))
                    self.callees[_name(node)].add(_name(child))
            self.requests_with.update(called)
            self._by_root[_name(request.root)].update(called)

    def share_for(self, now: "_Calls") -> dict[Operation, float]:
        """Return by operation the share of today's mix of requests that would usually call it."""
        found: dict[Operation, float] = defaultdict(float)
        for root, calls in self._by_root.items():
            for name, count in calls.items():
                found[name] += now.roots[root] / now.count * count / self.roots[root]
        return found


def _name(node: Node) -> Operation:
    return node.span.service, operation_of(node.span)


def _error(node: Node) -> str:
    attributes = node.span.attributes
    names = ("error.type", "http.response.status_code", "http.status_code", "rpc.response.status_code")
    return next((str(attributes[name]) for name in names if attributes.get(name)), "")


def _share(count: int, requests: int) -> Estimate:
    low, high = clopper_pearson(count, requests)
    return Estimate(count / requests, low, high)

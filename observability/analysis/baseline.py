"""Comparison with a baseline: which parts of the requests' time changed, and by how much.

Requests are compared by operation, and both sides get the mix of operations that is there now: more requests of a slow
operation are no slowdown. Intervals are Welch's t over requests, as if these were
independent. Requests that queue behind each other are not, so the intervals are somewhat too narrow.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from observability.analysis.comparison import Estimate, student_t_quantile
from observability.analysis.requests import Request
from observability.analysis.time_table import RowKey, TimeKind, parts_of, row_name

# A smaller change of the time of requests, or of one part of it, is not reported: no user notices it.
LEAST_SLOWDOWN = 0.10
_LEAST_CHANGE = 0.05
# With fewer requests of an operation the spread of their times is not known.
_FEWEST_OF_AN_OPERATION = 10
# Below this share of today's requests the rest says little about them.
_LEAST_COMPARABLE = 0.50
_CONFIDENCE = 0.90


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeChange:
    """A part of the requests' time that is not as in the baseline.

    name: what the time is spent on, as in the time table.
    service, operation: of the span that the time belongs to.
    peer: the called service, or the kind of the called database; empty when unknown, and for own code.
    before, after: mean seconds per request, in the baseline and now.
    calls_before, calls_after: how often it occurs per request.
    difference: after - before, in seconds per request, with its 90 % interval.
    """

    name: str
    kind: TimeKind
    service: str
    operation: str
    peer: str
    before: float
    after: float
    calls_before: float
    calls_after: float
    difference: Estimate

    def sentence(self) -> str:
        """Return the change in words."""
        less_or_more = "grew" if self.difference.value > 0 else "fell"
        said = (
            f"{self.name} {less_or_more} from {self.before * 1e3:.3g} to {self.after * 1e3:.3g} ms per request "
            f"({_milliseconds(self.difference)})"
        )
        if abs(self.calls_after - self.calls_before) < _LEAST_CHANGE * max(self.calls_before, self.calls_after):
            return said
        return f"{said}, from {self.calls_before:.3g} to {self.calls_after:.3g} times per request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Requests beside those of a baseline.

    before, after: mean duration in seconds, in the baseline and now, for today's mix of operations.
    slowdown: after - before, with its 90 % interval.
    changes: parts of the time that changed beyond chance, the largest growth first.
    requests, baseline_requests: numbers of requests that were compared.
    reasons: sentences about what could not be compared.
    """

    before: float
    after: float
    slowdown: Estimate
    changes: tuple[TimeChange, ...]
    requests: int
    baseline_requests: int
    reasons: tuple[str, ...]

    @property
    def is_slower(self) -> bool:
        """Whether requests became slower beyond chance, and enough to be noticed."""
        return self.slowdown.low > 0 and self.slowdown.value >= LEAST_SLOWDOWN * self.before

    @property
    def is_as_fast(self) -> bool:
        """Whether a noticeable slowdown is ruled out."""
        return self.slowdown.high < LEAST_SLOWDOWN * self.before

    @property
    def grown(self) -> tuple[TimeChange, ...]:
        """The parts that grew."""
        return tuple(each for each in self.changes if each.difference.value > 0)

    def sentence(self) -> str:
        """Return the whole comparison in one sentence."""
        if self.slowdown.high < 0:
            how = "are faster than in the baseline"
        elif self.is_slower:
            how = "are slower than in the baseline"
        elif self.is_as_fast:
            how = "are as fast as in the baseline"
        else:
            how = "show no clear slowdown against the baseline, but too few were recorded to rule one out"
        return f"requests {how}: {self.before * 1e3:.3g} -> {self.after * 1e3:.3g} ms ({_milliseconds(self.slowdown)})"


def compare_with(baseline: Sequence[Request], requests: Sequence[Request]) -> Comparison | None:
    """Return what changed since the baseline; None when too few requests are of operations that both have."""
    before, after = _Sample.by_operation(baseline), _Sample.by_operation(requests)
    common = sorted(name for name in after.keys() & before.keys() if _is_enough(before[name], after[name]))
    count = sum(after[name].count for name in common)
    if not count or count < _LEAST_COMPARABLE * len(requests):
        return None
    strata = [_Stratum(after[name].count / count, before[name], after[name]) for name in common]
    whole = _Difference.of(strata, None)
    rows = sorted({row for each in strata for sample in (each.before, each.after) for row in sample.parts})
    changes = [change for row in rows if _matters(change := _change(row, strata), whole.before)]
    left_out = [f"{operation} of {service}" for service, operation in sorted(after.keys() - set(common))]
    return Comparison(
        before=whole.before,
        after=whole.after,
        slowdown=whole.difference,
        changes=tuple(sorted(changes, key=lambda each: -each.difference.value)),
        requests=count,
        baseline_requests=sum(each.before.count for each in strata),
        reasons=(f"too few requests in the baseline to compare: {', '.join(left_out)}",) if left_out else (),
    )


@dataclass(slots=True)
class _Moments:
    """Sums over the requests that have a part, in seconds; the others count as 0."""

    total: float = 0.0
    squares: float = 0.0
    calls: int = 0


class _Sample:
    """The requests of one operation: their number, and the moments of their durations (None) and parts."""

    def __init__(self) -> None:
        self.count = 0
        self.parts: dict[RowKey, _Moments] = defaultdict(_Moments)
        self.whole = _Moments()

    @classmethod
    def by_operation(cls, requests: Iterable[Request]) -> "dict[tuple[str, str], _Sample]":
        found: dict[tuple[str, str], _Sample] = defaultdict(cls)
        for request in requests:
            sample = found[request.service, request.operation]
            sample.count += 1
            _add(sample.whole, request.seconds, 1)
            for row, (calls, seconds) in parts_of(request).items():
                _add(sample.parts[row], seconds, calls)
        return dict(found)

    def of(self, row: RowKey | None) -> _Moments:
        return self.whole if row is None else self.parts.get(row, _Moments())

    def mean(self, row: RowKey | None) -> float:
        return self.of(row).total / self.count

    def variance_of_mean(self, row: RowKey | None) -> float:
        moments = self.of(row)
        spread = max(0.0, moments.squares - moments.total**2 / self.count)
        return spread / (self.count - 1) / self.count


def _add(moments: _Moments, seconds: float, calls: int) -> None:
    moments.total += seconds
    moments.squares += seconds**2
    moments.calls += calls


def _is_enough(*samples: _Sample) -> bool:
    return all(each.count >= _FEWEST_OF_AN_OPERATION for each in samples)


@dataclass(frozen=True, slots=True)
class _Stratum:
    """One operation: its share of today's requests, and its samples."""

    weight: float
    before: _Sample
    after: _Sample


@dataclass(frozen=True, slots=True)
class _Difference:
    """Means of both sides, and their difference."""

    before: float
    after: float
    difference: Estimate

    @classmethod
    def of(cls, strata: Sequence[_Stratum], row: RowKey | None) -> "_Difference":
        before = sum(each.weight * each.before.mean(row) for each in strata)
        after = sum(each.weight * each.after.mean(row) for each in strata)
        variances = [
            (each.weight**2 * sample.variance_of_mean(row), sample.count - 1)
            for each in strata
            for sample in (each.before, each.after)
        ]
        reach = _reach(variances)
        return cls(before, after, Estimate(after - before, after - before - reach, after - before + reach))


def _reach(variances: Sequence[tuple[float, int]]) -> float:
    """Return half of the t interval of a sum of independent means (degrees of freedom by Welch and Satterthwaite)."""
    whole = sum(variance for variance, _ in variances)
    if not whole:
        return 0.0
    degrees = whole**2 / sum(variance**2 / count for variance, count in variances)
    return student_t_quantile((1 + _CONFIDENCE) / 2, max(1, int(degrees))) * float(whole**0.5)


def _change(row: RowKey, strata: Sequence[_Stratum]) -> TimeChange:
    kind, service, operation, peer = row
    found = _Difference.of(strata, row)
    return TimeChange(
        name=row_name(*row),
        kind=kind,
        service=service,
        operation=operation,
        peer=peer,
        before=found.before,
        after=found.after,
        calls_before=sum(each.weight * each.before.of(row).calls / each.before.count for each in strata),
        calls_after=sum(each.weight * each.after.of(row).calls / each.after.count for each in strata),
        difference=found.difference,
    )


def _matters(change: TimeChange, before: float) -> bool:
    beyond_chance = not change.difference.low <= 0 <= change.difference.high
    return beyond_chance and abs(change.difference.value) >= _LEAST_CHANGE * before


def _milliseconds(difference: Estimate) -> str:
    return f"{difference.value * 1e3:+.3g} ms, 90 % {difference.low * 1e3:+.3g} to {difference.high * 1e3:+.3g}"

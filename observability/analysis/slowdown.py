"""Verdict against a baseline: names the place of a slowdown, whether or not a class explains it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from observability.analysis.baseline import Comparison, TimeChange
from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import Estimate
from observability.analysis.time_table import Place
from observability.analysis.verdict import Answer, Verdict

# What grew explains a slowdown if it is at least this part of it.
_EXPLAINS = 0.50
# A class is taken for the cause if its place grew by at least this part of the slowdown.
_BELONGS = 0.20
# The others are in the verdict's `changes`.
_MOST_SAID = 5
_NOT_COMPARED = "nothing was compared: the baseline has too few requests of the same operations"


def against_baseline(verdict: Verdict, comparison: Comparison | None) -> Verdict:
    """Return the verdict with what changed since the baseline.

    If requests became slower and the parts that grew explain it, the place is the part that grew most. A class that was
    found stays if it is in a part that grew; otherwise the baseline had it too, and it is named in `also`. If requests
    are as fast as in the baseline, unexplained time alone does not prevent the answer `none`.
    """
    if comparison is None:
        return replace(verdict, reasons=(*verdict.reasons, _NOT_COMPARED))
    said = (comparison.sentence(), *_largest(comparison.changes))
    compared = replace(verdict, changes=comparison.changes)
    reasons = (*said, *verdict.reasons, *comparison.reasons)
    if comparison.is_slower and _explained(comparison) >= _EXPLAINS:
        if verdict.answer is Answer.FOUND and _belongs(verdict, comparison):
            return replace(compared, reasons=(*verdict.reasons, *said, *comparison.reasons))
        return replace(_at_place(compared, comparison), reasons=reasons)
    if verdict.answer is Answer.CANNOT_TELL and comparison.is_as_fast:
        return replace(compared, answer=Answer.NONE, confidence="medium", reasons=reasons)
    if verdict.answer is Answer.NONE and comparison.is_slower:
        return replace(compared, answer=Answer.CANNOT_TELL, confidence="low", prediction=None, reasons=reasons)
    return replace(compared, reasons=(*verdict.reasons, *said, *comparison.reasons))


def _largest(changes: Sequence[TimeChange]) -> Iterator[str]:
    """Yield a sentence for each of the largest changes."""
    largest = sorted(changes, key=lambda each: -abs(each.difference.value))
    yield from (each.sentence() for each in largest[:_MOST_SAID])
    if len(largest) > _MOST_SAID:
        yield f"{len(largest) - _MOST_SAID} smaller changes"


def _at_place(verdict: Verdict, comparison: Comparison) -> Verdict:
    """Return the verdict that names a place, and no class."""
    place, sure = _place(comparison)
    also = verdict.also
    if verdict.bottleneck is not None:
        also = (f"{verdict.bottleneck} in {verdict.service} {verdict.operation}".strip(), *also)
    return replace(
        verdict,
        answer=Answer.FOUND,
        bottleneck=None,
        service=place.service,
        operation=place.operation,
        share=place.share.value,
        confidence="high" if sure else "medium",
        prediction=None,
        also=also,
        place=place,
    )


def _place(comparison: Comparison) -> tuple[Place, bool]:
    """Return the part that grew most, or the service if the part explains too little; and whether that is sure.

    When a process runs out of a resource, all its parts become slower.
    """
    first = comparison.grown[0]
    if first.difference.value >= _EXPLAINS * comparison.slowdown.value:
        share = _share(first.difference, comparison)
        sure = first.difference.low >= _EXPLAINS * comparison.slowdown.value
        return Place(first.name, first.service, first.operation, share), sure
    by_service: dict[str, list[TimeChange]] = defaultdict(list)
    for each in comparison.grown:
        by_service[each.service].append(each)
    service, parts = max(by_service.items(), key=lambda item: sum(each.difference.value for each in item[1]))
    # The parts of one service grow and fall together, so that their intervals add up.
    whole = Estimate(*(sum(values) for values in zip(*(_values(each.difference) for each in parts), strict=True)))
    return Place(f"code and calls of {service}", service, "", _share(whole, comparison)), False


def _share(difference: Estimate, comparison: Comparison) -> Estimate:
    """Return the share of today's time that a growth is."""
    value, low, high = (min(1.0, max(0.0, each) / comparison.after) for each in _values(difference))
    return Estimate(value, low, high)


def _explained(comparison: Comparison) -> float:
    """Return the part of the slowdown that the grown parts account for."""
    return sum(each.difference.value for each in comparison.grown) / comparison.slowdown.value


def _belongs(verdict: Verdict, comparison: Comparison) -> bool:
    """Return whether the class is in a place that grew; one that changes which requests succeed need not be slower."""
    if verdict.bottleneck in {Bottleneck.OVERLOAD, Bottleneck.UNBOUNDED_WAIT}:
        return True
    grown = sum(
        each.difference.value
        for each in comparison.grown
        if verdict.service in {each.service, each.peer} and verdict.operation in {"", each.operation, each.peer}
    )
    return grown >= _BELONGS * comparison.slowdown.value


def _values(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high

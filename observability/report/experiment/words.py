"""Sentences and figures of a trial's report."""

from observability.analysis.comparison import Estimate
from observability.analysis.quantiles import fewest_for
from observability.analysis.verdict import Answer, Verdict
from observability.analysis.whatif import QUANTILES
from observability.experiments.experiment import ExperimentKind
from observability.experiments.runner.claim import Claim
from observability.experiments.runner.forecast import ForecastResult
from observability.experiments.runner.goodput import MeasuredGoodput
from observability.experiments.runner.measurement import measure
from observability.experiments.runner.scoring import EQUIVALENCE_MARGIN, Score
from observability.report.experiment.evidence import Evidence
from observability.report.pages import duration, milliseconds

# A number and its sign stay on one line.
_PERCENT = "\N{NO-BREAK SPACE}%"
_MEGABYTE = 1e6
_KILOBYTE = 1e3


def title(evidence: Evidence) -> str:
    """Write the experiment's name as a heading."""
    name = evidence.plan.experiment.replace("_", " ")
    return name[:1].upper() + name[1:]


def mark(evidence: Evidence) -> str:
    """Return the result of the trial in a few words."""
    if not evidence.score.right:
        return "wrong"
    if missed(evidence.score):
        return "right, but mispredicted"
    return "right" if evidence.score.passed else "right, but not shown"


def headline(evidence: Evidence) -> str:
    """Return sentences about the diagnosis, its truth, the gain of the fix, the prediction, and what comes next."""
    score = evidence.score
    said = (diagnosis_sentence(evidence), effect_sentence(evidence), *prediction_sentences(score))
    return " ".join((*said, *following_sentences(score)))


def following_sentences(score: Score) -> list[str]:
    """Return a sentence about the diagnosis of the platform with the fix, if there was one."""
    if (after := score.following) is None:
        return []
    return [f"With the fix, the diagnosis says {after.said}: {f'WRONG, it {after.wrong}' if after.wrong else 'right'}."]


def prediction_sentences(score: Score) -> list[str]:
    """Return a sentence about the result of each prediction, and one about quantiles with too few orders."""
    said = [
        f"The prediction {_result(name, sealed, came, result)}." for name, sealed, came, result in _predictions(score)
    ]
    if score.forecasts and (untold := [name for name in QUANTILES if name not in forecast_names(score)]):
        needed = ", ".join(f"{name} needs {fewest_for(QUANTILES[name])} orders a side" for name in untold)
        said.append(f"There are too few orders to judge a prediction of {' and '.join(untold)}: {needed}.")
    return said


def missed(score: Score) -> bool:
    """Return whether a prediction missed."""
    return any(result is ForecastResult.MISSED for *_, result in _predictions(score))


def forecast_names(score: Score) -> frozenset[str]:
    """Return the names of the quantiles whose prediction was compared with a measurement."""
    return frozenset(each.quantile for each in score.forecasts)


def _predictions(score: Score) -> list[tuple[str, Estimate, Estimate, ForecastResult]]:
    """Return name, sealed ratio, measured ratio and result of each prediction."""
    told = [(each.quantile, each.ratio, each.measured_ratio, each.result) for each in score.forecasts]
    if score.goodput is not None and score.goodput.forecast is not None:
        forecast = score.goodput.forecast
        told.append(("goodput", forecast.ratio, score.goodput.ratio, forecast.result))
    return told


def _result(name: str, sealed: Estimate, came: Estimate, result: ForecastResult) -> str:
    said = f"of {name} after / before {ratio(sealed)}"
    match result:
        case ForecastResult.HELD:
            return f"{said} held: measured {came.value:.2f}"
        case ForecastResult.MISSED:
            return f"{said} MISSED: measured {ratio(came)}"
        case ForecastResult.UNTOLD:
            return f"{said} cannot be judged: the machine changed by more than the fix; measured {ratio(came)}"


def diagnosis_sentence(evidence: Evidence) -> str:
    """Say what was diagnosis_sentence and whether that was right."""
    said = f"The diagnosis {answer(evidence.verdict)}"
    return f"{said}, and that is right." if evidence.score.right else f"{said}. That is wrong: {truth(evidence.claim)}."


def invalid(evidence: Evidence) -> str:
    """Return the numbers of invalid blocks that were repeated and that were used, as text."""
    used = evidence.used_though_invalid
    return f"{evidence.score.invalid_blocks - used} repeated, {used} used anyway"


def answer(verdict: Verdict) -> str:
    """Say what a diagnosis answered, as what follows "the diagnosis"."""
    match verdict.answer:
        case Answer.FOUND:
            named = place(str(verdict.bottleneck), verdict.service, verdict.operation)
            of_goodput = verdict.prediction is not None and verdict.prediction.goodput is not None
            return f"named {named}" if of_goodput else f"named {named}, {percent(verdict.share)} of the requests' time"
        case Answer.NONE:
            return "found no bottleneck"
        case Answer.CANNOT_TELL:
            return "could not tell"


def truth(claim: Claim) -> str:
    """Say what the diagnosis should have said."""
    known = claim.truth
    if known is None:
        return "there is no bottleneck"
    return f"it is {place(known.bottleneck, known.service, known.operation or '')}"


def place(bottleneck: str, service: str, operation: str) -> str:
    """Name a bottleneck and where it is."""
    where = f"{operation} of {service}" if operation else service
    return f"{bottleneck.replace('_', ' ')} in {where}"


def effect_sentence(evidence: Evidence) -> str:
    """Return a sentence about the effect of the fix on the highest available quantile, or on goodput."""
    if evidence.score.goodput is not None:
        return f"{goodput_sentence(evidence.score.goodput)}."
    told, moved_by = evidence.measured[-1], evidence.score.primary.ratio
    moved = f"{told.name} after / before is {ratio(moved_by)}"
    match evidence.claim.kind:
        case ExperimentKind.BOTTLENECK:
            went = f"The fix brought {told.name} from {duration(told.before.value)} to {duration(told.after.value)}"
            return f"{went}: {_changed(moved_by)}."
        case ExperimentKind.NEGATIVE:
            return f"There was nothing to fix, and {moved}."
        case ExperimentKind.MEASUREMENT:
            return f"Nothing was wrong with either: {measure(evidence.blocks).sentence()}."
        case ExperimentKind.WRONG_OPTIMISATION:
            return f"{_optimised(evidence.score.own_ratio)} and {moved}: {_equivalent(evidence)}."


def goodput_sentence(goodput: MeasuredGoodput) -> str:
    """Return how many orders were useful, with the fix and without."""
    done = "took effect" if goodput.consumed else "got the right answer in time"
    return (
        f"Of {rate(goodput.offered_per_second)} orders a second {rate(goodput.before.value)} {done} "
        f"without the fix, and {rate(goodput.after.value)} with it: {ratio(goodput.ratio)} times as many"
    )


def ratios(score: Score) -> str:
    """Return after / before of the latency, or of goodput if the experiment is about that."""
    if score.goodput is not None:
        return f"After / before: goodput {ratio(score.goodput.ratio)}."
    of = {"p50": score.ratio_p50, "p95": score.ratio_p95}
    told = (f"{name} {ratio(each.ratio)}" for name, each in of.items() if each.q <= score.primary.q)
    return f"After / before: {'; '.join(told)}."


def _changed(moved_by: Estimate) -> str:
    """Say by how much a ratio is below 1, or above."""
    if moved_by.value > 1:
        more = Estimate(moved_by.value - 1, moved_by.low - 1, moved_by.high - 1)
        return f"{percent(more.value)} more (90 % interval {percent(more.low)} to {percent(more.high)})"
    less = Estimate(1 - moved_by.value, 1 - moved_by.high, 1 - moved_by.low)
    return f"{percent(less.value)} less (90 % interval {percent(less.low)} to {percent(less.high)})"


def _optimised(own_ratio: float | None) -> str:
    if own_ratio is None:
        return "The optimised component's own time is not known,"
    return f"The optimised component takes {percent(1 - own_ratio)} less time of its own,"


def _equivalent(evidence: Evidence) -> str:
    same = f"the same within {percent(EQUIVALENCE_MARGIN)}"
    return f"for customers it is {same}" if evidence.score.equivalent else f"not shown to be {same}"


def bounds(estimate: Estimate) -> str:
    """Write an interval in milliseconds, without the unit."""
    return f"{milliseconds(estimate.low)} to {milliseconds(estimate.high)}"


def rate(per_second: float) -> str:
    """Write how many a second."""
    return f"{per_second:.1f}"


def rate_bounds(estimate: Estimate) -> str:
    """Write an interval of how many a second; less than none is none."""
    return f"{rate(max(0.0, estimate.low))} to {rate(estimate.high)}"


def ratio(estimate: Estimate) -> str:
    """Write a ratio with its interval."""
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def percent(share: float) -> str:
    """Write a share in per cent."""
    return f"{100 * share:.0f}{_PERCENT}"


def error(share: float) -> str:
    """Write how far a prediction was off, with its sign: above 0 it was too high."""
    return f"{100 * share:+.0f}{_PERCENT}"


def size(size_bytes: int) -> str:
    """Write the size of a file."""
    if size_bytes >= _MEGABYTE:
        return f"{size_bytes / _MEGABYTE:.1f} MB"
    return f"{size_bytes / _KILOBYTE:.1f} kB"

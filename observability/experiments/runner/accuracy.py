"""Accuracy over many trials: how often the diagnosis was wrong, and the error of the predictions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from observability.analysis.comparison import clopper_pearson, is_significant
from observability.analysis.observation_folder import read_observation
from observability.analysis.verdict import Answer, Verdict
from observability.experiments.experiment import Truth
from observability.experiments.runner.baselines import largest_deviation, largest_path_growth, largest_self_time
from observability.experiments.runner.forecast import ForecastResult
from observability.experiments.runner.scoring import Forecast, Score

NOTHING = "none"
# Nothing is changed in this experiment: its blocks differ by chance alone.
SAME_TWICE = "healthy"
QUEUEING = "queueing"
# A prediction with a queue in it is good within this, one without when the median is within a tenth.
NEAR = 0.30


@dataclass(frozen=True, slots=True)
class Answered:
    """The verdict on one trial and the truth; `wrong` says how they differ, and is empty when they agree."""

    experiment: str
    seed: int
    truth: Truth | None
    verdict: Verdict
    wrong: str
    observation: Path


@dataclass(frozen=True, slots=True)
class FinishedTrial:
    """A trial that ran to its end."""

    experiment: str
    verdict: Verdict
    score: Score


def confusion(answers: Sequence[Answered]) -> list[tuple[str, dict[str, int]]]:
    """Return the confusion matrix: for each truth, how often each class was named."""
    rows: dict[str, dict[str, int]] = {}
    for each in answers:
        truth = each.truth.bottleneck.value if each.truth else NOTHING
        named = each.verdict.bottleneck.value if each.verdict.bottleneck else each.verdict.answer.value
        if not each.wrong or each.verdict.answer is not Answer.FOUND or named != truth:
            counted = named
        else:
            counted = f"{named}, elsewhere"
        row = rows.setdefault(truth, {})
        row[counted] = row.get(counted, 0) + 1
    return sorted(rows.items())


def baseline_accuracy(answers: Sequence[Answered]) -> dict[str, str]:
    """Return for each baseline how many bottlenecks it located; baselines name no class.

    Two of them compare with the healthy experiment of the same seed.
    """
    healthy = {each.seed: read_observation(each.observation) for each in answers if each.experiment == SAME_TWICE}
    asked = [each for each in answers if each.truth and each.seed in healthy]
    right = dict.fromkeys(("largest self time", "largest growth on the path", "most standard deviations"), 0)
    for each in asked:
        seen = read_observation(each.observation)
        named = (
            largest_self_time(seen),
            largest_path_growth(seen, healthy[each.seed]),
            largest_deviation(seen, healthy[each.seed]),
        )
        for way, place in zip(right, named, strict=True):
            right[way] += place is not None and is_the_place(each.truth, place)
    return {way: f"{count}/{len(asked)} places" for way, count in right.items()}


def is_the_place(truth: Truth | None, place: tuple[str, str]) -> bool:
    """Return whether a service and an operation are the location of the truth."""
    service, operation = place
    return truth is not None and service == truth.service and truth.operation in {None, operation}


def share_wrong(answers: Sequence[Answered]) -> str:
    """Return the number of wrong verdicts as text, with a 95 % interval (Clopper-Pearson)."""
    wrong = sum(bool(each.wrong) for each in answers)
    low, high = clopper_pearson(wrong, len(answers))
    return f"{wrong}/{len(answers)} wrong (95 % {low:.0%}-{high:.0%})"


def falsely_named(answers: Sequence[Answered]) -> str:
    """Return as text how many experiments without a bottleneck had one named; their folders hold the rates."""
    negatives = [each for each in answers if each.truth is None]
    named = sum(each.verdict.answer is Answer.FOUND for each in negatives)
    return f"{named}/{len(negatives)} without a bottleneck had one named"


def is_good_enough(answers: Sequence[Answered]) -> bool:
    """Return whether at most one in ten is wrong, and each experiment right with at least two seeds of three."""
    wrong = sum(bool(each.wrong) for each in answers)
    by_experiment: dict[str, list[bool]] = defaultdict(list)
    for each in answers:
        by_experiment[each.experiment].append(not each.wrong)
    return wrong <= len(answers) / 10 and all(3 * sum(right) >= 2 * len(right) for right in by_experiment.values())


def significant(scores: Sequence[Score]) -> int:
    """Count the trials in which the primary metric, the ratio of p95, differs from 1 at 90 %."""
    return sum(is_significant(score.ratio_p95) for score in scores)


def prediction_sentences(trials: Sequence[FinishedTrial]) -> Iterator[str]:
    """Yield sentences about the errors of predictions, and of two trivial predictors for comparison.

    Only correct verdicts count: a prediction for another class is no prediction of this fix.
    """
    fixes = [each for each in trials if each.score.right and each.verdict.answer is Answer.FOUND]
    plain = _forecasts(each for each in fixes if not _has_queue(each))
    queued = _forecasts(each for each in fixes if _has_queue(each))
    if plain:
        yield f"without a queue: median error {_median_error(plain):.0%} of {len(plain)} predictions"
    if queued:
        near = sum(abs(each.error) <= NEAR for each in queued)
        yield f"with a queue: {near}/{len(queued)} within {NEAR:.0%}, median error {_median_error(queued):.0%}"
    if every := plain + queued:
        half = median((each.predicted.high - each.predicted.low) / 2 / each.predicted.value for each in every)
        sealed = sum(each.ratio.low <= each.measured_ratio.value <= each.ratio.high for each in every)
        yield f"half of an interval (median) is {half:.0%}; {sealed}/{len(every)} measured ratios lie within"
        yield results_in_words(each.result for each in every)
        yield f"a prediction of no change: median error {median(abs(each.error_if_same) for each in every):.0%}"
    if told := [each.score.goodput for each in fixes if each.score.goodput and each.score.goodput.forecast]:
        off = median(abs(each.forecast.error) for each in told if each.forecast)
        same = median(abs(each.error_if_same) for each in told)
        yield f"goodput: median error {off:.0%} of {len(told)} predictions; of a prediction of no change {same:.0%}"
    if errors := list(_errors_if_healthy(fixes, trials)):
        yield f"if it became as fast as the healthy run: median error {median(errors):.0%}"


def results_in_words(results: Iterable[ForecastResult]) -> str:
    """Return the numbers of predictions that held, missed, or cannot be judged, as text."""
    counts = Counter(results)
    return (
        f"{counts[ForecastResult.HELD]} of {counts.total()} predictions held, {counts[ForecastResult.MISSED]} missed;"
        f" {counts[ForecastResult.UNTOLD]} cannot be judged, since the machine changed by more than the fix"
    )


def _has_queue(trial: FinishedTrial) -> bool:
    return trial.verdict.prediction is not None and trial.verdict.prediction.predictor.startswith(QUEUEING)


def _forecasts(trials: Iterator[FinishedTrial]) -> list[Forecast]:
    return [forecast for trial in trials for forecast in trial.score.forecasts]


def _median_error(forecasts: Sequence[Forecast]) -> float:
    return median(abs(each.error) for each in forecasts)


def _errors_if_healthy(fixes: Sequence[FinishedTrial], trials: Sequence[FinishedTrial]) -> Iterator[float]:
    healthy: Mapping[str, Forecast] = {
        forecast.quantile: forecast
        for trial in trials
        if trial.experiment == SAME_TWICE
        for forecast in trial.score.forecasts
    }
    for trial in fixes:
        for forecast in trial.score.forecasts:
            if forecast.quantile in healthy:
                yield abs(healthy[forecast.quantile].actual_before.value / forecast.actual_after.value - 1)

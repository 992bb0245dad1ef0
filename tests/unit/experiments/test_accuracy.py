"""Accuracy of the diagnosis over many trials: confusion matrix, share of wrong verdicts, and prediction errors."""

from dataclasses import replace
from pathlib import Path

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import Estimate
from observability.analysis.verdict import Verdict
from observability.experiments.experiment import Metric, Truth
from observability.experiments.runner.accuracy import (
    SAME_TWICE,
    Answered,
    FinishedTrial,
    confusion,
    falsely_named,
    is_good_enough,
    is_the_place,
    prediction_sentences,
    share_wrong,
    significant,
)
from observability.experiments.runner.scoring import Score, score, why_wrong
from tests.unit.experiments.making import (
    CANNOT_TELL,
    FEWER_LOST,
    NOTHING_FOUND,
    PREDICTION,
    RIGHT,
    TRUTH,
    blocks,
    experiment,
    with_goodput,
)

QUEUED = replace(RIGHT, prediction=replace(PREDICTION, predictor="queueing: the wait goes away"))


def answered(truth: Truth | None, verdict: Verdict, name: str = "one", seed: int = 1) -> Answered:
    return Answered(name, seed, truth, verdict, why_wrong(truth, verdict), Path())


def finished(verdict: Verdict, *, after: float = 0.5, name: str = "one") -> FinishedTrial:
    return FinishedTrial(name, verdict, scored(verdict, after))


def scored(verdict: Verdict, after: float) -> Score:
    return score(experiment(), TRUTH, verdict, blocks(after, wobble=(1.0, 1.0, 1.0)), attempts=6)


def test_named_classes_are_counted_by_the_true_class() -> None:
    answers = [
        answered(TRUTH, RIGHT),
        answered(TRUTH, replace(RIGHT, service="shop")),
        answered(TRUTH, replace(RIGHT, bottleneck=Bottleneck.POOL)),
        answered(TRUTH, CANNOT_TELL),
        answered(None, NOTHING_FOUND),
    ]
    assert confusion(answers) == [
        ("n_plus_one", {"n_plus_one": 1, "n_plus_one, elsewhere": 1, "pool": 1, "cannot tell": 1}),
        ("none", {"none": 1}),
    ]


def test_only_names_without_a_bottleneck_are_false_alarms() -> None:
    answers = [
        answered(None, RIGHT),
        answered(None, CANNOT_TELL),
        answered(None, NOTHING_FOUND),
        answered(TRUTH, RIGHT),
    ]
    assert falsely_named(answers) == "1/3 without a bottleneck had one named"


def test_the_share_that_is_wrong_has_its_interval() -> None:
    assert share_wrong([answered(TRUTH, RIGHT)] * 9) == "0/9 wrong (95 % 0%-34%)"


def test_one_in_ten_may_be_wrong() -> None:
    right = [answered(TRUTH, RIGHT, "many", seed) for seed in range(9)]
    assert is_good_enough([*right, answered(TRUTH, CANNOT_TELL, "many", 10)])
    assert not is_good_enough([*right[:8], answered(TRUTH, CANNOT_TELL, "many", 10)])


def test_no_experiment_may_be_wrong_more_than_once_in_three() -> None:
    others = [answered(None, NOTHING_FOUND, "others", seed) for seed in range(30)]
    twice = [answered(TRUTH, verdict, "one", seed) for seed, verdict in enumerate((RIGHT, CANNOT_TELL, CANNOT_TELL))]
    assert not is_good_enough([*others, *twice])
    assert is_good_enough([*others, *twice[:1], twice[1], replace(twice[0], seed=9)])


def test_a_location_is_a_service_and_an_operation() -> None:
    assert is_the_place(TRUTH, ("stock", "SELECT items"))
    assert not is_the_place(TRUTH, ("stock", "SELECT orders"))
    assert is_the_place(Truth(Bottleneck.POOL, "stock"), ("stock", "SELECT orders"))
    assert not is_the_place(None, ("stock", "SELECT items"))


def test_a_ratio_whose_interval_excludes_one_is_significant() -> None:
    assert significant([scored(RIGHT, 0.5), score(experiment(), TRUTH, RIGHT, blocks(1.0), attempts=6)]) == 1


def test_predictions_with_and_without_a_queue_are_counted_apart() -> None:
    """Predicted are 60 and 90 ms, and 75 and 120 came: 20 % and 25 % too low."""
    told = list(prediction_sentences([finished(RIGHT), finished(QUEUED)]))
    assert told[0] == "without a queue: median error 23% of 2 predictions"
    assert told[1] == "with a queue: 2/2 within 30%, median error 23%"


def test_intervals_with_the_measured_value_are_counted() -> None:
    wide = replace(PREDICTION, ratio={"p50": Estimate(0.4, 0.3, 0.6), "p95": Estimate(0.375, 0.35, 0.4)})
    told = list(prediction_sentences([finished(replace(RIGHT, prediction=wide))]))
    assert told[1] == "half of an interval (median) is 22%; 1/2 measured ratios lie within"
    assert told[2].startswith("1 of 2 predictions held, 1 missed; 0 cannot be judged")


def test_accuracy_lists_the_trivial_predictors_too() -> None:
    told = list(prediction_sentences([finished(RIGHT), finished(NOTHING_FOUND, after=1.0, name=SAME_TWICE)]))
    assert told[-2] == "a prediction of no change: median error 100%"
    assert told[-1] == "if it became as fast as the healthy run: median error 100%"


def test_goodput_predictions_are_counted_apart() -> None:
    """2.25 times as many were predicted as the 4.5 that had been, and 9 came."""
    tried = replace(experiment(), metric=Metric.GOODPUT)
    verdict = replace(RIGHT, prediction=FEWER_LOST)
    blocks_told = with_goodput(blocks(1.0), before=(40, 50, 45), after=(80, 100, 90))
    told = list(
        prediction_sentences([FinishedTrial("one", verdict, score(tried, TRUTH, verdict, blocks_told, attempts=6))])
    )
    assert told == ["goodput: median error 12% of 1 predictions; of a prediction of no change 50%"]


def test_a_wrong_name_has_no_prediction_error() -> None:
    assert list(prediction_sentences([finished(replace(RIGHT, service="shop")), finished(CANNOT_TELL)])) == []

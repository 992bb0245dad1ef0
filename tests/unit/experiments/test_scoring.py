"""Score of a trial: correctness of the verdict, conditions to pass, and errors of the predictions."""

from dataclasses import replace

import pytest

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import Estimate
from observability.analysis.verdict import Verdict
from observability.experiments.experiment import ExperimentKind, Truth
from observability.experiments.runner.forecast import ForecastResult
from observability.experiments.runner.scoring import forecasts, own_ratio, pairs_of, score, why_wrong
from tests.unit.experiments.making import (
    CANNOT_TELL,
    NOTHING_FOUND,
    PREDICTION,
    RIGHT,
    TRUTH,
    block,
    blocks,
    experiment,
)

HALF = Estimate(0.5, 0.5, 0.5)


def test_a_right_verdict_has_class_service_and_operation() -> None:
    assert not why_wrong(TRUTH, RIGHT)


def test_a_truth_without_an_operation_takes_any() -> None:
    assert not why_wrong(Truth(Bottleneck.N_PLUS_ONE, "stock"), RIGHT)


def test_the_smaller_of_two_bottlenecks_must_be_listed() -> None:
    both = replace(TRUTH, also=Truth(Bottleneck.POOL, "shop"))
    assert "did not list pool in shop" in why_wrong(both, RIGHT)
    assert not why_wrong(both, replace(RIGHT, also=("hot_row in stock UPDATE items", "pool in shop")))


def test_the_smaller_of_two_bottlenecks_must_be_named_after_the_fix() -> None:
    both = replace(TRUTH, also=Truth(Bottleneck.POOL, "shop"))
    first, then = replace(RIGHT, also=("pool in shop",)), replace(RIGHT, bottleneck=Bottleneck.POOL, service="shop")
    assert score(experiment(), both, first, blocks(0.5), attempts=6, following=then).passed
    result = score(experiment(), both, first, blocks(0.5), attempts=6, following=NOTHING_FOUND)
    assert result.right
    assert not result.passed
    assert result.failed_because == ("after the fix the diagnosis said none, and it is pool in shop",)


def test_nothing_found_is_right_where_nothing_is_wrong() -> None:
    assert not why_wrong(None, NOTHING_FOUND)


@pytest.mark.parametrize(
    ("truth", "verdict", "words"),
    [
        (None, RIGHT, "there is none"),
        (None, CANNOT_TELL, "said cannot tell"),
        (TRUTH, NOTHING_FOUND, "said none, and it is n_plus_one in stock"),
        (TRUTH, CANNOT_TELL, "said cannot tell"),
        (TRUTH, replace(RIGHT, bottleneck=Bottleneck.POOL), "named pool, and it is n_plus_one"),
        (TRUTH, replace(RIGHT, service="shop"), "placed it in shop"),
        (TRUTH, replace(RIGHT, operation="SELECT orders"), "'SELECT orders'"),
    ],
    ids=["found nothing's", "untold nothing", "missed", "untold", "other class", "other service", "other operation"],
)
def test_a_wrong_verdict_says_how_it_differs(truth: Truth | None, verdict: Verdict, words: str) -> None:
    assert words in why_wrong(truth, verdict)


def test_a_right_verdict_on_a_fix_that_helps_passes() -> None:
    result = score(experiment(), TRUTH, RIGHT, blocks(0.5), attempts=6)
    assert result.passed
    assert result.ratio_p95.ratio.value == pytest.approx(0.5, rel=0.01)


def test_a_wrong_verdict_does_not_pass() -> None:
    result = score(experiment(), TRUTH, NOTHING_FOUND, blocks(0.5), attempts=6)
    assert not result.right
    assert not result.passed


def test_a_bottleneck_that_does_not_hurt_fails() -> None:
    result = score(experiment(), TRUTH, RIGHT, blocks(0.93), attempts=6)
    assert result.right
    assert not result.passed
    assert "no clear effect" in result.failed_because[0]


def test_without_a_bottleneck_nothing_need_change() -> None:
    assert score(experiment(ExperimentKind.NEGATIVE, None), None, NOTHING_FOUND, blocks(1.0), attempts=6).passed


def test_a_wrong_optimisation_halves_only_its_own_time() -> None:
    tried = experiment(ExperimentKind.WRONG_OPTIMISATION, None)
    result = score(tried, None, NOTHING_FOUND, blocks(1.0, own_after=0.2), attempts=6)
    assert result.passed
    assert result.equivalent


@pytest.mark.parametrize("own_after", [0.6, None], ids=["hardly fell", "not known"])
def test_a_wrong_optimisation_that_saves_too_little_fails(own_after: float | None) -> None:
    tried = experiment(ExperimentKind.WRONG_OPTIMISATION, None)
    result = score(tried, None, NOTHING_FOUND, blocks(1.0, own_after=own_after), attempts=6)
    assert result.failed_because == ("the optimised component's own time did not fall by half",)


@pytest.mark.parametrize(
    ("after", "wobble"), [(0.8, (1.0, 1.02, 0.98)), (1.0, (1.0, 1.3, 0.7))], ids=["it helps", "nobody can tell"]
)
def test_a_wrong_optimisation_must_be_shown_to_change_nothing(after: float, wobble: tuple[float, ...]) -> None:
    tried = experiment(ExperimentKind.WRONG_OPTIMISATION, None)
    result = score(tried, None, NOTHING_FOUND, blocks(after, own_after=0.2, wobble=wobble), attempts=6)
    assert not result.equivalent
    assert "is not shown to be the same" in result.failed_because[0]


def test_a_forecast_is_not_scored_on_a_wrong_optimisation() -> None:
    result = score(experiment(ExperimentKind.WRONG_OPTIMISATION), TRUTH, RIGHT, blocks(1.0, own_after=0.2), attempts=6)
    assert result.passed
    assert result.forecasts == ()


def test_a_forecast_is_compared_with_measured_and_unchanged() -> None:
    p50, p95 = forecasts(RIGHT, blocks(0.5, wobble=(1.0, 1.0, 1.0)))
    assert (p50.quantile, p95.quantile) == ("p50", "p95")
    assert p95.actual_before.value == pytest.approx(0.240)
    assert p95.actual_after.value == pytest.approx(0.120)
    assert (p95.predicted.low, p95.predicted.high) == pytest.approx((0.35 * 0.24, 0.4 * 0.24))
    assert p95.result is ForecastResult.MISSED
    assert p95.error == pytest.approx(0.09 / 0.12 - 1)
    assert p95.error_if_same == pytest.approx(1.0)


def test_the_ratio_is_scored_on_interleaved_blocks() -> None:
    """The sealed 0.375 of 240 ms is 90 ms, where 120 came; of an observation of 480 ms it had been 180."""
    slower = replace(PREDICTION, before={"p50": 0.3, "p95": 0.48}, after={"p50": HALF, "p95": Estimate(0.18, 0.1, 0.2)})
    _, p95 = forecasts(replace(RIGHT, prediction=slower), blocks(0.5, wobble=(1.0, 1.0, 1.0)))
    assert p95.predicted.value == pytest.approx(0.09)
    assert p95.predicted.high == pytest.approx(0.24 * 0.375 * 2, rel=0.01)
    assert p95.error == pytest.approx(0.09 / 0.12 - 1)


def test_a_quantile_of_too_few_orders_is_held_against_nothing() -> None:
    """71 orders a side have no upper bound of p95; then the median is what counts."""
    few = [block(pair, side, [0.1] * 24) for pair in (1, 2, 3) for side in ("before", "after")]
    few[0] = block(1, "before", [0.1] * 23)
    result = score(experiment(), TRUTH, RIGHT, few, attempts=6)
    assert [each.quantile for each in result.forecasts] == ["p50"]
    assert result.primary is result.ratio_p50


def test_without_a_prediction_there_is_nothing_to_hold() -> None:
    assert forecasts(CANNOT_TELL, blocks(0.5)) == []


def test_the_own_time_is_compared_by_the_medians_of_the_blocks() -> None:
    seconds = {"before": (4.0, 2.0, 9.0), "after": (1.0, 8.0, 0.5)}
    made = [
        *(block(pair, "before", [1.0], own=own) for pair, own in enumerate(seconds["before"])),
        *(block(pair, "after", [1.0], own=own) for pair, own in enumerate(seconds["after"])),
    ]
    assert own_ratio(made) == 1.0 / 4.0


def test_without_own_times_there_is_no_own_ratio() -> None:
    assert own_ratio(blocks(0.5)) is None


def test_a_block_without_its_other_half_is_no_pair() -> None:
    whole = blocks(0.5)
    assert len(pairs_of(whole)) == 3
    assert len(pairs_of(whole[:-1])) == 2


def test_runs_beyond_the_blocks_that_count_were_invalid() -> None:
    assert score(experiment(), TRUTH, RIGHT, blocks(0.5), attempts=9).invalid_blocks == 3

"""Goodput of a trial: the after / before ratio, the least gain that passes, and the error of its prediction."""

from dataclasses import replace

import pytest

from observability.experiments.experiment import Experiment, Metric
from observability.experiments.runner.artifacts import BlockRecord
from observability.experiments.runner.forecast import ForecastResult
from observability.experiments.runner.goodput import measure_goodput
from observability.experiments.runner.scoring import score
from tests.unit.experiments.making import FEWER_LOST, NOTHING_FOUND, RIGHT, TRUTH, blocks, experiment, with_goodput

VERDICT = replace(RIGHT, prediction=FEWER_LOST)


def tried() -> Experiment:
    """Return an experiment about goodput."""
    return replace(experiment(), metric=Metric.GOODPUT)


def pairs(*after: int) -> list[BlockRecord]:
    """Three pairs, with 40, 50 and 45 orders of use in ten seconds before the fix; the latencies stay as they are."""
    return with_goodput(blocks(1.0), before=(40, 50, 45), after=after)


def test_goodput_is_good_orders_a_second_on_each_side() -> None:
    goodput = measure_goodput(VERDICT, pairs(80, 100, 90))
    assert goodput.before.value == pytest.approx(4.5)
    assert goodput.after.value == pytest.approx(9.0)
    assert goodput.offered_per_second == pytest.approx(10.1)
    assert goodput.error_if_same == pytest.approx(-0.5)


def test_the_ratio_is_of_the_pairs() -> None:
    """Each pair doubles, however different they are."""
    ratio = measure_goodput(VERDICT, pairs(80, 100, 90)).ratio
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((2.0, 2.0, 2.0))


def test_predicted_goodput_is_compared_with_measured() -> None:
    """2.25 times as many were predicted where they were twice as many."""
    forecast = measure_goodput(VERDICT, pairs(80, 100, 90)).forecast
    assert forecast is not None
    assert forecast.error == pytest.approx(2.25 / 2.0 - 1)
    assert forecast.predicted.value == pytest.approx(4.5 * 2.25)
    assert forecast.result is ForecastResult.HELD


def test_a_latency_forecast_is_no_goodput_forecast() -> None:
    assert measure_goodput(RIGHT, pairs(80, 100, 90)).forecast is None
    assert measure_goodput(NOTHING_FOUND, pairs(80, 100, 90)).forecast is None


def test_a_block_in_which_no_order_was_of_use_has_a_ratio() -> None:
    goodput = measure_goodput(VERDICT, with_goodput(blocks(1.0), before=(0, 0, 0), after=(50, 50, 50)))
    assert goodput.ratio.value == pytest.approx(100.0)


def test_blocks_of_an_earlier_version_have_no_goodput() -> None:
    with pytest.raises(ValueError, match="not every block"):
        measure_goodput(VERDICT, blocks(1.0))


def test_a_goodput_fix_passes_whatever_the_latencies() -> None:
    result = score(tried(), TRUTH, VERDICT, pairs(80, 100, 90), attempts=6)
    assert result.passed
    assert result.goodput is not None
    assert result.forecasts == ()


def test_a_gain_of_a_twentieth_is_too_small_to_pass() -> None:
    result = score(tried(), TRUTH, VERDICT, pairs(42, 53, 47), attempts=6)
    assert result.right
    assert "no clear effect" in result.failed_because[0]


def test_an_undecided_gain_does_not_pass() -> None:
    assert not score(tried(), TRUTH, VERDICT, pairs(40, 150, 50), attempts=6).passed


def test_a_latency_experiment_has_no_goodput() -> None:
    assert score(experiment(), TRUTH, VERDICT, pairs(80, 100, 90), attempts=6).goodput is None

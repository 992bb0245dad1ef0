"""Result of a predicted after / before ratio: held, missed or undecided, by the measured ratio."""

import pytest

from observability.analysis.comparison import Estimate
from observability.experiments.runner.forecast import ForecastResult, result_of, widened

SEALED = Estimate(0.5, 0.4, 0.6)
SURE = Estimate(0.7, 0.7, 0.7)


def judged(sealed: Estimate, measured: Estimate, *, drift: float = 1.0) -> ForecastResult:
    """Widen the interval and hold it against what came."""
    return result_of(sealed, widened(sealed, measured, drift=drift), measured)


def test_blocks_that_agree_leave_the_interval_as_it_was_sealed() -> None:
    same = widened(SEALED, SURE, drift=1.0)
    assert (same.value, same.low, same.high) == pytest.approx((0.5, 0.4, 0.6))


def test_blocks_that_differ_widen_the_interval_on_both_sides() -> None:
    """Independent errors add by their squares, on the scale of logarithms: 3 and 4 make 5."""
    wider = widened(Estimate(1.0, 10**-0.3, 10**0.3), Estimate(1.0, 10**-0.4, 10**0.4), drift=1.0)
    assert (wider.low, wider.high) == pytest.approx((10**-0.5, 10**0.5))


@pytest.mark.parametrize(
    ("measured", "result"),
    [
        (Estimate(0.59, 0.58, 0.6), ForecastResult.HELD),
        (Estimate(0.7, 0.7, 0.7), ForecastResult.MISSED),
        (Estimate(0.7, 0.55, 0.89), ForecastResult.MISSED),
        (Estimate(0.66, 0.22, 1.94), ForecastResult.UNTOLD),
    ],
    ids=["within", "beyond", "beyond with noise", "noisier than the gain"],
)
def test_a_prediction_holds_misses_or_is_undecided(measured: Estimate, result: ForecastResult) -> None:
    assert judged(SEALED, measured) is result


@pytest.mark.parametrize("drift", [0.4, 2.5], ids=["quieter", "busier"])
def test_a_machine_that_is_not_the_one_observed_is_no_miss(drift: float) -> None:
    """Observed at 535 ms in a busy minute, held at 213 in a quieter one: sealed was 0.47, and 0.21 came."""
    sealed, came = Estimate(0.47, 0.34, 0.58), Estimate(0.21, 0.2, 0.22)
    assert judged(sealed, came) is ForecastResult.MISSED
    assert judged(sealed, came, drift=drift) is ForecastResult.UNTOLD


def test_no_change_can_be_shown_with_noisy_blocks() -> None:
    assert judged(Estimate(1.0, 0.95, 1.05), Estimate(1.1, 0.9, 1.3)) is ForecastResult.HELD


def test_a_ratio_that_may_be_zero_has_an_interval() -> None:
    assert widened(Estimate(0.1, 0.0, 0.2), SURE, drift=1.0).low == pytest.approx(0.0, abs=1e-5)

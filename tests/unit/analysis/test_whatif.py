"""Prediction of latency and goodput after a fix, compared with values calculated by hand."""

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.analysis.comparison import Estimate
from observability.analysis.whatif import Prediction, Saving, changed_goodput, predict, unchanged

TENTH = (0.1,) * 40
NOTHING = (0.0,) * 40

shares = st.floats(0, 1)
requests = st.lists(st.tuples(st.floats(0.001, 10), shares, shares), min_size=1, max_size=40)


def test_a_saving_is_all_of_its_work_and_waits() -> None:
    assert Saving(work=(1.0, 2.0), wait=(0.5, 0.25)).total() == 3.75


# --- Where the processor is not known, or not touched -----------------------------------------------------------------


def test_each_request_loses_its_own_saving() -> None:
    """Of 1 to 5 s, each loses a half: the median of 3 is then 1.5, and the 95th percentile of 4.8 is 2.4."""
    durations = (1.0, 2.0, 3.0, 4.0, 5.0)
    prediction = predict(
        durations, Saving(NOTHING[:5], tuple(each / 2 for each in durations)), predictor="", utilisation=None
    )
    assert prediction.before == pytest.approx({"p50": 3.0, "p95": 4.8})
    assert [prediction.after["p50"].value, prediction.after["p95"].value] == pytest.approx([1.5, 2.4])
    assert prediction.gain_p95.value == pytest.approx(0.5)


def test_saved_work_shortens_no_queue_of_unknown_utilisation() -> None:
    prediction = predict(TENTH, Saving((0.05,) * 40, NOTHING), predictor="", utilisation=None)
    assert prediction.after["p95"].value == pytest.approx(0.05)
    assert prediction.utilisation_after is None


def test_waits_leave_the_utilisation_as_it_is() -> None:
    prediction = predict(TENTH, Saving(NOTHING, (0.06,) * 40), predictor="", utilisation=0.8)
    assert prediction.after["p95"].value == pytest.approx(0.04)
    assert prediction.utilisation_after == 0.8


def test_no_request_takes_less_than_nothing() -> None:
    prediction = predict(TENTH, Saving(NOTHING, (0.3,) * 40), predictor="", utilisation=None)
    assert prediction.after["p95"].value == 0


def test_client_time_outside_the_traces_stays() -> None:
    """They saw 150 ms where traces say 100: of 150, the 60 that are saved leave 90."""
    prediction = predict(TENTH, Saving(NOTHING, (0.06,) * 40), predictor="", utilisation=None, latencies=(0.15,) * 40)
    assert (prediction.before["p95"], prediction.after["p95"].value) == pytest.approx((0.15, 0.09))


# --- Where the processor is shared ------------------------------------------------------------------------------------


def test_less_work_makes_the_rest_faster_too() -> None:
    """Half of the work at 80 % leaves 40 %: what is left of a request, 50 ms, takes 0.2 / 0.6 of its time."""
    prediction = predict(TENTH, Saving((0.05,) * 40, NOTHING), predictor="", utilisation=0.8)
    assert prediction.utilisation_after == pytest.approx(0.4)
    assert prediction.after["p95"].value == pytest.approx(0.05 / 3)


@pytest.mark.parametrize(("rate_per_second", "after"), [(40.0, 0.4), (20.0, 0.6), (400.0, 0.4)])
def test_background_processor_load_stays(rate_per_second: float, after: float) -> None:
    """At 80 %, 50 ms were 10 ms of work: of 20 requests a second 0.2. More than they worked cannot go away."""
    saving = Saving((0.05,) * 40, NOTHING)
    prediction = predict(TENTH, saving, predictor="", utilisation=0.8, rate_per_second=rate_per_second)
    assert prediction.utilisation_after == pytest.approx(after)


def test_waits_were_no_work_to_begin_with() -> None:
    """Of 100 ms, 60 were waits: the 20 ms of work are half of what was done."""
    prediction = predict(TENTH, Saving((0.02,) * 40, (0.06,) * 40), predictor="", utilisation=0.8)
    assert prediction.utilisation_after == pytest.approx(0.4)
    assert prediction.after["p95"].value == pytest.approx(0.02 / 3)


def test_where_all_was_wait_the_utilisation_stays() -> None:
    prediction = predict(TENTH, Saving(NOTHING, TENTH), predictor="", utilisation=0.5)
    assert prediction.utilisation_after == 0.5


@pytest.mark.parametrize(
    ("utilisation", "trusted"), [(0.0, True), (0.91, True), (0.92, False), (1.3, False), (None, False)]
)
def test_the_formula_is_trusted_below_92_percent_alone(utilisation: float | None, trusted: bool) -> None:
    assert predict(TENTH, Saving(NOTHING, NOTHING), predictor="", utilisation=utilisation).trusted is trusted


def test_beyond_92_percent_the_processor_counts_as_that_busy() -> None:
    """Half of the work at 160 % leaves 80 %: 0.08 / 0.20 of 50 ms."""
    prediction = predict(TENTH, Saving((0.05,) * 40, NOTHING), predictor="", utilisation=1.6)
    assert prediction.after["p95"].value == pytest.approx(0.02)


# --- How sure that is -------------------------------------------------------------------------------------------------


def test_model_error_is_a_fifth_of_the_saving_for_equal_requests() -> None:
    prediction = predict(TENTH, Saving(NOTHING, (0.05,) * 40), predictor="", utilisation=None)
    assert astuple(prediction.after["p95"]) == pytest.approx((0.05, 0.04, 0.06))
    assert astuple(prediction.ratio["p95"]) == pytest.approx((0.5, 0.4, 0.6))
    assert astuple(prediction.gain_p95) == pytest.approx((0.5, 0.4, 0.6))


@given(requests, st.none() | st.floats(0, 1.5))
def test_the_interval_contains_the_value_and_nothing_below_zero(
    drawn: list[tuple[float, float, float]], utilisation: float | None
) -> None:
    prediction = _predicted(drawn, utilisation)
    for after in (*prediction.after.values(), *prediction.ratio.values()):
        assert 0 <= after.low <= after.value <= after.high
    assert prediction.gain_p95.low <= prediction.gain_p95.value <= prediction.gain_p95.high


@given(requests, st.floats(0, 1.5))
def test_no_fix_makes_requests_slower(drawn: list[tuple[float, float, float]], utilisation: float) -> None:
    prediction = _predicted(drawn, utilisation)
    assert prediction.after["p95"].value <= prediction.before["p95"] * (1 + 1e-9)


def test_the_prediction_is_deterministic() -> None:
    drawn = [(0.01 * number, 0.2, 0.1) for number in range(1, 50)]
    assert _predicted(drawn, 0.7) == _predicted(drawn, 0.7)


# --- Nothing changes --------------------------------------------------------------------------------------------------


def test_unchanged_is_as_before() -> None:
    prediction = unchanged((0.1, 0.2, 0.3))
    assert (prediction.predictor, prediction.trusted) == ("none", False)
    assert prediction.before == pytest.approx({"p50": 0.2, "p95": 0.29})
    assert (prediction.after["p50"].value, prediction.after["p95"].value) == (
        prediction.before["p50"],
        prediction.before["p95"],
    )
    assert prediction.gain_p95.value == 0


def test_unchanged_is_the_client_latency() -> None:
    prediction = unchanged((0.1,) * 3, latencies=(0.4,) * 3)
    assert (prediction.before["p95"], prediction.after["p95"].value) == pytest.approx((0.4, 0.4))


def test_unchanged_is_the_client_latency_even_below_the_traces() -> None:
    """They also saw other requests, which were quicker."""
    prediction = unchanged((0.1,) * 3, latencies=(0.05,) * 3)
    assert (prediction.before["p95"], prediction.after["p95"].value) == pytest.approx((0.05, 0.05))


def test_requests_that_took_no_time_gain_none() -> None:
    assert unchanged((0.0,) * 3).gain_p95 == Estimate(0, 0, 0)


def _predicted(drawn: list[tuple[float, float, float]], utilisation: float | None) -> Prediction:
    """Predict for requests of a duration, of which a share is work and of the rest a share is wait that goes away."""
    durations = [duration for duration, _, _ in drawn]
    work = tuple(duration * share for duration, share, _ in drawn)
    wait = tuple(duration * (1 - share) * of_rest for duration, share, of_rest in drawn)
    return predict(durations, Saving(work, wait), predictor="", utilisation=utilisation)


# --- Goodput ----------------------------------------------------------------------------------------------------------


def test_goodput_prediction_has_intervals() -> None:
    """Of 100 requests in ten seconds 40 were of use, and all but ten will be."""
    prediction = changed_goodput(4.0, 9.0, requests=100, seconds=10.0)
    assert (prediction.before.value, prediction.after.value, prediction.ratio.value) == pytest.approx((4.0, 9.0, 2.25))
    assert (prediction.before.low, prediction.before.high) == pytest.approx((3.17, 4.87), abs=0.01)
    assert prediction.after.low == pytest.approx(7.8, abs=0.1)
    assert prediction.ratio.low < 2.25 < prediction.ratio.high


def test_no_more_are_of_use_than_there_are() -> None:
    assert changed_goodput(4.0, 10.0, requests=100, seconds=10.0).after.high == pytest.approx(10.0)


def test_larger_changes_have_wider_intervals() -> None:
    near, far = (changed_goodput(before, 9.0, requests=100, seconds=10.0).after for before in (8.0, 1.0))
    assert far.low < near.low


def test_from_nothing_there_is_a_ratio_and_it_is_finite() -> None:
    """Half a request in ten seconds stands for none."""
    prediction = changed_goodput(0.0, 5.0, requests=100, seconds=10.0)
    assert prediction.ratio.value == pytest.approx(100.0)
    assert prediction.ratio.low < 100.0 <= prediction.ratio.high < 1_000.0


def test_where_nothing_changes_the_ratio_is_1() -> None:
    prediction = changed_goodput(5.0, 5.0, requests=100, seconds=10.0)
    assert prediction.ratio.low < 1.0 < prediction.ratio.high

"""Ratios of latency before and after a change, and how sure they are."""

import math
import random
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.analysis.comparison import (
    Estimate,
    Pair,
    Ratio,
    _incomplete_beta,
    clopper_pearson,
    compare,
    is_equivalent,
    is_significant,
    pooled_quantile,
    student_t_quantile,
)

_SIMULATIONS = 400


def _block(source: random.Random, *, median_seconds: float, count: int, noise: float) -> tuple[float, ...]:
    """Draw lognormal latencies around a median that itself differs from block to block by this deviation."""
    middle = math.log(median_seconds) + source.gauss(0, noise)
    return tuple(source.lognormvariate(middle, 0.5) for _ in range(count))


def _pairs(source: random.Random, *, pairs: int, ratio: float = 1, count: int = 60, noise: float = 0.05) -> list[Pair]:
    return [
        Pair(
            before=_block(source, median_seconds=0.020, count=count, noise=noise),
            after=_block(source, median_seconds=0.020 * ratio, count=count, noise=noise),
        )
        for _ in range(pairs)
    ]


def _of_ratios(ratios: list[float]) -> list[Pair]:
    """Make pairs of one request each whose ratios are these."""
    return [Pair(before=(1.0,), after=(ratio,)) for ratio in ratios]


def _ratio(low: float, high: float) -> Ratio:
    estimate = Estimate(value=math.sqrt(low * high), low=low, high=high)
    return Ratio(q=0.95, ratio=estimate, pairs=6, before_count=600, after_count=600, smallest_visible=0.06)


def test_the_ratio_is_the_geometric_mean_of_the_pairs() -> None:
    assert compare(_of_ratios([0.5, 1.0, 2.0]), 0.5).ratio.value == pytest.approx(1.0)


def test_the_interval_of_three_pairs_is_that_of_students_t() -> None:
    """Deviation log 2, 2.920 for two degrees of freedom: 2 to the power of 2.920 / sqrt(3)."""
    ratio = compare(_of_ratios([0.5, 1.0, 2.0]), 0.5).ratio
    assert (ratio.low, ratio.high) == pytest.approx((1 / 3.217, 3.217), rel=1e-3)


def test_more_confidence_takes_a_wider_interval() -> None:
    pairs = _pairs(random.Random(1), pairs=5)
    highs = [compare(pairs, 0.95, confidence=confidence).ratio.high for confidence in (0.5, 0.8, 0.9, 0.99)]
    assert highs == sorted(set(highs))


def test_the_order_of_requests_does_not_matter() -> None:
    pairs = _pairs(random.Random(2), pairs=3)
    turned = [Pair(before=pair.before[::-1], after=pair.after[::-1]) for pair in pairs]
    assert compare(turned, 0.95) == compare(pairs, 0.95)


def test_a_ratio_counts_its_pairs_and_requests() -> None:
    ratio = compare([Pair(before=(1.0, 2.0), after=(1.0,))] * 3, 0.5)
    assert (ratio.pairs, ratio.before_count, ratio.after_count) == (3, 6, 3)


@pytest.mark.parametrize("pairs", [3, 6])
def test_the_interval_of_no_change_covers_1_as_often_as_it_says(pairs: int) -> None:
    source = random.Random(11)
    covered = sum(
        not is_significant(compare(_pairs(source, pairs=pairs), 0.95, confidence=0.90)) for _ in range(_SIMULATIONS)
    )
    assert 0.84 <= covered / _SIMULATIONS <= 0.96


def test_a_gain_of_a_fifth_is_found() -> None:
    ratio = compare(_pairs(random.Random(3), pairs=6, ratio=0.8, count=400, noise=0.02), 0.95).ratio
    assert ratio.low <= 0.8 <= ratio.high < 1


def test_the_smallest_visible_effect_is_a_sum_of_two_t_quantiles() -> None:
    """Deviation log 2, 2.920 and 1.061 for two degrees of freedom: 2 to the power of 3.981 / sqrt(3), less 1."""
    assert compare(_of_ratios([0.5, 1.0, 2.0]), 0.5).smallest_visible == pytest.approx(3.919, rel=1e-3)


def test_the_smallest_visible_effect_is_seen_four_times_in_five() -> None:
    """The logarithms -d, 0 and d have the deviation d: the pairs drawn around the effect have the same one."""
    source, deviation = random.Random(12), 0.05
    spread = _of_ratios([math.exp(-deviation), 1.0, math.exp(deviation)])
    effect = math.log1p(compare(spread, 0.5).smallest_visible)
    seen = sum(
        is_significant(compare(_of_ratios([math.exp(source.gauss(effect, deviation)) for _ in range(3)]), 0.5))
        for _ in range(_SIMULATIONS)
    )
    assert 0.74 <= seen / _SIMULATIONS <= 0.86


def test_the_smallest_visible_effect_of_two_pairs_is_unknown() -> None:
    assert compare(_pairs(random.Random(4), pairs=2), 0.95).smallest_visible == math.inf


def test_one_pair_has_an_interval_from_its_requests() -> None:
    """The ratio of two medians of 400 requests of deviation 0.5 has the standard error 0.044: 1.645 times that."""
    ratio = compare(_pairs(random.Random(5), pairs=1, count=400, noise=0), 0.5).ratio
    assert math.log(ratio.high / ratio.low) / 2 == pytest.approx(0.073, rel=0.25)


def test_two_pairs_that_disagree_look_surer_than_they_are() -> None:
    """What differs from block to block is not in the interval of so few pairs: here a factor of 4."""
    source = random.Random(6)
    pairs = _pairs(source, pairs=1, ratio=0.5, noise=0) + _pairs(source, pairs=1, ratio=2, noise=0)
    ratio = compare(pairs, 0.5).ratio
    assert ratio.high / ratio.low < 1.5


@pytest.mark.parametrize(("seed", "repeats"), [(3, True), (4, False)])
def test_an_interval_from_requests_is_repeated_by_its_seed_alone(seed: int, repeats: bool) -> None:
    pairs = _pairs(random.Random(7), pairs=1)
    assert (compare(pairs, 0.95, seed=seed) == compare(pairs, 0.95, seed=3)) is repeats


def test_no_pairs_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        compare([], 0.95)


def test_an_empty_block_is_refused() -> None:
    with pytest.raises(ValueError, match="without requests"):
        compare([Pair(before=(1.0,), after=())], 0.95)


@pytest.mark.parametrize("latency", [0.0, -1.0, math.inf, math.nan])
def test_a_latency_without_a_logarithm_is_refused(latency: float) -> None:
    with pytest.raises(ValueError, match="latency must be above 0 seconds"):
        compare([Pair(before=(1.0, latency), after=(1.0,))], 0.5)


@pytest.mark.parametrize("q", [0.0, 1.0, 95.0])
def test_a_quantile_lies_within_0_and_1(q: float) -> None:
    with pytest.raises(ValueError, match="q must lie within 0 and 1"):
        compare(_of_ratios([1.0]), q)


def test_a_confidence_lies_within_0_and_1() -> None:
    with pytest.raises(ValueError, match="confidence must lie within 0 and 1"):
        compare(_of_ratios([1.0]), 0.5, confidence=90)


@pytest.mark.parametrize(
    ("low", "high", "margin"), [(0.97, 1.02, 0.05), (0.951, 0.99, 0.05), (1.01, 1.049, 0.05), (0.92, 1.08, 0.10)]
)
def test_an_interval_within_the_margin_is_equivalent(low: float, high: float, margin: float) -> None:
    assert is_equivalent(_ratio(low, high), margin=margin)


@pytest.mark.parametrize(("low", "high"), [(0.94, 1.02), (0.98, 1.06), (0.80, 1.25), (0.70, 0.80)])
def test_an_interval_past_the_margin_is_not_equivalent(low: float, high: float) -> None:
    assert not is_equivalent(_ratio(low, high))


@pytest.mark.parametrize("margin", [0.0, 5.0])
def test_a_margin_is_a_share(margin: float) -> None:
    with pytest.raises(ValueError, match="margin must lie within 0 and 1"):
        is_equivalent(_ratio(0.97, 1.02), margin=margin)


def test_no_difference_between_noisy_pairs_is_no_equivalence() -> None:
    ratio = compare(_pairs(random.Random(8), pairs=4, noise=0.2), 0.95)
    assert (is_significant(ratio), is_equivalent(ratio)) == (False, False)


def test_no_difference_between_quiet_pairs_is_equivalence() -> None:
    assert is_equivalent(compare(_pairs(random.Random(9), pairs=6, count=4_000, noise=0.01), 0.95))


@pytest.mark.parametrize(("low", "high"), [(0.70, 0.99), (1.01, 1.40)])
def test_an_interval_without_1_is_significant(low: float, high: float) -> None:
    assert is_significant(_ratio(low, high))


@pytest.mark.parametrize(("low", "high"), [(0.70, 1.01), (1.0, 1.40), (1.0, 1.0)])
def test_an_interval_with_1_is_not_significant(low: float, high: float) -> None:
    assert not is_significant(_ratio(low, high))


def test_three_blocks_give_the_geometric_mean_of_their_quantiles() -> None:
    estimate = pooled_quantile([[0.010], [0.020], [0.040]], 0.5)
    assert (estimate.value, estimate.high / estimate.value) == pytest.approx((0.020, 3.217), rel=1e-3)


def test_the_interval_over_blocks_has_its_coverage() -> None:
    source, covered = random.Random(13), 0
    for _ in range(_SIMULATIONS):
        blocks = [_block(source, median_seconds=0.020, count=51, noise=0.1) for _ in range(4)]
        estimate = pooled_quantile(blocks, 0.5)
        covered += estimate.low <= 0.020 <= estimate.high
    assert 0.84 <= covered / _SIMULATIONS <= 0.96


def test_two_blocks_give_the_quantile_of_all_their_values() -> None:
    """Conover's tables give for the median of n = 20 at 95 % the 6th and the 15th value."""
    blocks = [[float(rank) for rank in range(20, 0, -2)], [float(rank) for rank in range(1, 20, 2)]]
    assert pooled_quantile(blocks, 0.5, confidence=0.95) == Estimate(value=10.5, low=6, high=15)


def test_too_few_values_leave_a_side_open() -> None:
    estimate = pooled_quantile([[0.010, 0.020]], 0.5)
    assert (estimate.low, estimate.high) == (0, math.inf)


def test_no_blocks_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no blocks"):
        pooled_quantile([], 0.5)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_of_a_share_is_that_of_the_tables(successes: int, trials: int, low: float, high: float) -> None:
    assert clopper_pearson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_no_failure_in_300_is_the_rule_of_three() -> None:
    """The one-sided 95 % bound of 0 in n is about 3 / n; two sides at 90 % have the same one."""
    assert clopper_pearson(0, 300, confidence=0.90)[1] == pytest.approx(3 / 300, rel=0.01)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 10), (11, 10), (0, -1)])
def test_successes_fit_their_trials(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        clopper_pearson(successes, trials)


@pytest.mark.parametrize(
    ("probability", "degrees_of_freedom", "expected"),
    [
        (0.5, 7, 0.0),
        (0.95, 1, 6.314),
        (0.95, 2, 2.920),
        (0.95, 5, 2.015),
        (0.975, 5, 2.571),
        (0.995, 3, 5.841),
        (0.9995, 1, 636.619),
        (0.80, 2, 1.061),
        (0.80, 5, 0.920),
        (0.975, 30, 2.042),
        (0.975, 120, 1.980),
        (0.975, 1_000_000, 1.960),
    ],
)
def test_quantiles_of_t_are_those_of_the_tables(probability: float, degrees_of_freedom: int, expected: float) -> None:
    assert student_t_quantile(probability, degrees_of_freedom) == pytest.approx(expected, abs=6e-4)


@given(st.floats(0.501, 0.999), st.integers(1, 200))
def test_t_is_symmetric(probability: float, degrees_of_freedom: int) -> None:
    upper = student_t_quantile(probability, degrees_of_freedom)
    assert student_t_quantile(1 - probability, degrees_of_freedom) == pytest.approx(-upper, rel=1e-6)


def test_t_needs_a_degree_of_freedom() -> None:
    with pytest.raises(ValueError, match="at least 1 degree"):
        student_t_quantile(0.95, 0)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 20))
def test_incomplete_beta_of_integers_is_a_binomial_tail(a: int, b: int, twentieths: int) -> None:
    """The sum is exact: Abramowitz and Stegun, 26.5.24."""
    x, trials = Fraction(twentieths, 20), a + b - 1
    tail = sum((math.comb(trials, k) * x**k * (1 - x) ** (trials - k) for k in range(a, trials + 1)), Fraction(0))
    assert _incomplete_beta(float(x), a, b) == pytest.approx(float(tail), abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [(1e6, 2.0), (3.0, 1e6), (1e6, 1e6)])
def test_incomplete_beta_of_large_parameters_rises_from_0_to_1(a: float, b: float) -> None:
    mean, deviation = a / (a + b), math.sqrt(a * b / (a + b) ** 3)
    shares = [_incomplete_beta(mean + step * deviation, a, b) for step in range(-20, 21)]
    assert all(0 <= below <= above <= 1 for below, above in pairwise(shares))

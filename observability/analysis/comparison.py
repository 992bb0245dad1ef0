"""Comparison of latencies before and after a change: ratio of quantiles with a confidence interval."""

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from observability.analysis.quantiles import quantile, quantile_interval

# From this number of blocks or pairs on, the interval comes from their spread.
_FEWEST_FOR_SPREAD = 3
_RESAMPLES = 1_000
_POWER = 0.80
# Halving the unit interval this often reaches the precision of a double.
_HALVINGS = 60
# The continued fraction needs about the square root of its larger parameter: enough for 10^7 trials.
_FRACTION_TERMS = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio or another value, and the bounds of its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Latencies of two blocks with the same schedule, before and after the change: seconds, above 0, in any order."""

    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Ratio:
    """After / before of a quantile of the latencies.

    q: the quantile, within 0 and 1.
    pairs: number of paired blocks.
    before_count, after_count: numbers of requests.
    smallest_visible: relative effect that pairs of this spread detect with a power of 0.8, where 0.2 stands for a ratio
        of 1.2 or 1 / 1.2; infinite for too few pairs.
    """

    q: float
    ratio: Estimate
    pairs: int
    before_count: int
    after_count: int
    smallest_visible: float


def compare(pairs: Sequence[Pair], q: float, *, confidence: float = 0.90, seed: int = 0) -> Ratio:
    """Return the geometric mean of the paired ratios after / before of the q-quantile, with its interval.

    From three pairs on the interval is Student's t of the log ratios, which covers the variation between blocks. For
    one or two pairs it is a percentile bootstrap of the requests within each block (Efron and Tibshirani 1993,
    chapter 13), repeatable by its seed; it misses the variation between blocks, so that it is too narrow.
    Raises ValueError for no pairs, an empty block, a latency not above 0, or q or confidence not within 0 and 1.
    """
    _check_shares(q=q, confidence=confidence)
    if not pairs:
        raise ValueError("no pairs, no ratio")
    for pair in pairs:
        _check_block(pair.before)
        _check_block(pair.after)
    log_ratios = [_log_ratio(pair, q) for pair in pairs]
    enough = len(pairs) >= _FEWEST_FOR_SPREAD
    return Ratio(
        q=q,
        ratio=_from_spread(log_ratios, confidence) if enough else _from_requests(pairs, q, confidence, seed),
        pairs=len(pairs),
        before_count=sum(len(pair.before) for pair in pairs),
        after_count=sum(len(pair.after) for pair in pairs),
        smallest_visible=_smallest_visible(log_ratios, confidence) if enough else math.inf,
    )


def is_equivalent(ratio: Ratio, *, margin: float = 0.05) -> bool:
    """Return whether the whole interval lies within 1 - margin and 1 + margin (margin within 0 and 1).

    With an interval of 90 % these are two one-sided tests at 5 % (Schuirmann 1987). The bounds are the usual meaning of
    "within 5 %"; bounds that are symmetric in the logarithm would move the lower one from 0.950 to 0.952.
    """
    _check_shares(margin=margin)
    return 1 - margin <= ratio.ratio.low and ratio.ratio.high <= 1 + margin


def is_significant(ratio: Ratio) -> bool:
    """Return whether the interval excludes 1; an interval that includes 1 does not prove "no effect"."""
    return not ratio.ratio.low <= 1 <= ratio.ratio.high


def pooled_quantile(blocks: Sequence[Sequence[float]], q: float, *, confidence: float = 0.90) -> Estimate:
    """Return the q-quantile of the blocks' latencies in seconds, in any order, with its interval.

    From three blocks on it is the geometric mean of the blocks' quantiles with Student's t interval. Fewer blocks are
    pooled, and the interval lies between order statistics: valid for any distribution, but without the variation
    between blocks. With too few values for a bound it is 0 or infinity. Raises ValueError as `compare` does.
    """
    _check_shares(q=q, confidence=confidence)
    if not blocks:
        raise ValueError("no blocks, no quantile")
    for block in blocks:
        _check_block(block)
    if len(blocks) >= _FEWEST_FOR_SPREAD:
        return _from_spread([math.log(quantile(sorted(block), q)) for block in blocks], confidence)
    pooled = sorted(latency for block in blocks for latency in block)
    bounds = quantile_interval(pooled, q, confidence=confidence)
    return Estimate(
        value=quantile(pooled, q),
        low=0.0 if bounds.low is None else bounds.low,
        high=math.inf if bounds.high is None else bounds.high,
    )


def mean_of(values: Sequence[float], *, confidence: float = 0.90) -> Estimate:
    """Return the mean with Student's t interval, which is unbounded for a single value."""
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Estimate(mean, -math.inf, math.inf)
    reach = student_t_quantile((1 + confidence) / 2, len(values) - 1) * _standard_error(values)
    return Estimate(mean, mean - reach, mean + reach)


def clopper_pearson(successes: int, trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact confidence interval of a binomial proportion; 0 to 1 for no trials.

    Source: Clopper and Pearson 1934. Raises ValueError when successes are not within 0 and trials.
    """
    _check_shares(confidence=confidence)
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes do not fit {trials} trials")
    tail, failures = (1 - confidence) / 2, trials - successes
    low = _beta_quantile(tail, successes, failures + 1) if successes else 0.0
    high = _beta_quantile(1 - tail, successes + 1, failures) if failures else 1.0
    return low, high


def student_t_quantile(probability: float, degrees_of_freedom: int) -> float:
    """Return the t below which Student's distribution has this probability (within 0 and 1).

    Source: Abramowitz and Stegun 1964, 26.5.27. Raises ValueError for less than one degree of freedom.
    """
    _check_shares(probability=probability)
    if degrees_of_freedom < 1:
        raise ValueError(f"Student's t needs at least 1 degree of freedom, not {degrees_of_freedom}")
    both_tails = 2 * min(probability, 1 - probability)
    x = _beta_quantile(both_tails, degrees_of_freedom / 2, 0.5)
    return math.copysign(math.sqrt(degrees_of_freedom * (1 - x) / x), probability - 0.5)


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie within 0 and 1, not at {share:g}")


def _check_block(block: Sequence[float]) -> None:
    """Raise ValueError for no latencies, and for one without a logarithm: its ratio would be undefined."""
    if not block:
        raise ValueError("a block without requests has no latency")
    for latency in block:
        if not 0 < latency < math.inf:
            raise ValueError(f"a latency must be above 0 seconds and finite, not {latency:g}")


def _log_ratio(pair: Pair, q: float) -> float:
    """Return the logarithm of after / before of the q-quantile."""
    return math.log(quantile(sorted(pair.after), q) / quantile(sorted(pair.before), q))


def _from_spread(logarithms: Sequence[float], confidence: float) -> Estimate:
    """Return the geometric mean with Student's t interval, from the values' logarithms."""
    mean = mean_of(logarithms, confidence=confidence)
    return Estimate(value=math.exp(mean.value), low=math.exp(mean.low), high=math.exp(mean.high))


def _smallest_visible(logarithms: Sequence[float], confidence: float) -> float:
    """Return the relative effect whose interval excludes 1 with the wanted power: the sum of two t quantiles."""
    degrees = len(logarithms) - 1
    errors = student_t_quantile((1 + confidence) / 2, degrees) + student_t_quantile(_POWER, degrees)
    return math.expm1(errors * _standard_error(logarithms))


def _standard_error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values))


def _from_requests(pairs: Sequence[Pair], q: float, confidence: float, seed: int) -> Estimate:
    """Return the geometric mean of the paired ratios with a bootstrap interval, resampled within each block."""
    source = random.Random(seed)  # noqa: S311  # bootstrap resampling, nothing secret

    def again(block: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(source.choices(block, k=len(block)))

    means = sorted(
        statistics.fmean(_log_ratio(Pair(again(pair.before), again(pair.after)), q) for pair in pairs)
        for _ in range(_RESAMPLES)
    )
    tail = (1 - confidence) / 2
    return Estimate(
        value=math.exp(statistics.fmean(_log_ratio(pair, q) for pair in pairs)),
        low=math.exp(quantile(means, tail)),
        high=math.exp(quantile(means, 1 - tail)),
    )


def _beta_quantile(probability: float, a: float, b: float) -> float:
    """Return the quantile of a Beta(a, b) distribution, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _incomplete_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function at x: the probability of a Beta(a, b) below x.

    Source: Abramowitz and Stegun 1964, 26.5.8, and the symmetry 26.5.2 where that fraction converges slowly.
    """
    if not 0 < x < 1:
        return float(x >= 1)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) / (a * _beta_fraction(x, a, b))
    return 1 - math.exp(log_front) / (b * _beta_fraction(1 - x, b, a))


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction 1 + d1 / (1 + d2 / (1 + ...)) of the incomplete beta function (Lentz 1976)."""
    fraction, ahead, behind = 1.0, 1.0, 0.0
    for term in range(1, _FRACTION_TERMS):
        half, odd = divmod(term, 2)
        if odd:
            d = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            d = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        ahead, behind = 1 + d / ahead, 1 / (1 + d * behind)
        fraction *= ahead * behind
        if abs(ahead * behind - 1) < 1e-15:
            return fraction
    raise ArithmeticError(f"the incomplete beta function of x {x:g}, a {a:g}, b {b:g} did not converge")

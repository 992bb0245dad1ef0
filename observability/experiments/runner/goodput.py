"""Goodput of a trial: orders a second with a useful answer, before and after the fix, and as predicted.

Under overload, and where requests are abandoned, quantiles of latency cover only the other requests and do not compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from observability.analysis.comparison import Estimate, Pair, compare, mean_of
from observability.analysis.verdict import Verdict
from observability.experiments.runner.artifacts import BlockRecord, Side
from observability.experiments.runner.forecast import ForecastResult, result_of, times, widened

# A bottleneck must have an effect: `before` is worse by more than this factor, at the lower bound.
LEAST_IMPACT = 1.10
# A count of zero is taken as 0.5, so that the ratio is defined.
_LEAST_ORDERS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodputForecast:
    """The prediction of goodput, and its result.

    ratio: after / before as it was sealed.
    predicted: orders a second before the fix times the ratio; the interval takes in how the machine changed.
    result: whether the prediction held.
    error: predicted / actual - 1.
    """

    ratio: Estimate
    predicted: Estimate
    result: ForecastResult
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredGoodput:
    """Useful answers a second, with 90 % intervals over the blocks.

    offered_per_second: orders that were due.
    consumed: whether orders count when a consumer has processed them, and not when they are answered in time.
    ratio: after / before, over the pairs.
    error_if_same: the error of the trivial prediction that nothing changes.
    """

    offered_per_second: float
    before: Estimate
    after: Estimate
    ratio: Estimate
    error_if_same: float
    forecast: GoodputForecast | None
    consumed: bool = False


def measure_goodput(verdict: Verdict, blocks: Sequence[BlockRecord], *, consumed: bool = False) -> MeasuredGoodput:
    """Compare both sides of every pair. Raises ValueError when there is none, or a block has no goodput."""
    before, after = (_orders(blocks, side) for side in ("before", "after"))
    seconds = [each.block.counted_seconds for each in blocks if each.block.counted_seconds is not None]
    if len(seconds) != len(blocks) or len(before) != len(after):
        raise ValueError("not every block has the number of its useful orders")
    mean_seconds = fmean(seconds)
    pairs = [Pair((old,), (new,)) for old, new in zip(before, after, strict=True)]
    ratio = compare(pairs, 0.5).ratio
    old, new = (mean_of([each / mean_seconds for each in orders]) for orders in (before, after))
    return MeasuredGoodput(
        offered_per_second=fmean(len(each.block.latencies_seconds) for each in blocks) / mean_seconds,
        before=old,
        after=new,
        ratio=ratio,
        error_if_same=old.value / new.value - 1,
        forecast=_forecast(verdict, old, new, ratio),
        consumed=consumed,
    )


def goodput_failures(goodput: MeasuredGoodput) -> list[str]:
    """Return a sentence if the bottleneck had no clear effect on goodput."""
    if goodput.ratio.low > LEAST_IMPACT:
        return []
    gain = f"goodput by at least {goodput.ratio.low:.2f} times, and must by {LEAST_IMPACT}"
    return [f"the bottleneck has no clear effect: the fix increases {gain}"]


def _orders(blocks: Sequence[BlockRecord], side: Side) -> list[float]:
    """Return the number of useful answers in each block of a side, by pair."""
    of_side = sorted((each for each in blocks if each.side == side), key=lambda each: each.pair)
    return [max(_LEAST_ORDERS, each.block.good_orders or 0) for each in of_side]


def _forecast(verdict: Verdict, before: Estimate, after: Estimate, measured: Estimate) -> GoodputForecast | None:
    told = verdict.prediction.goodput if verdict.prediction else None
    if told is None:
        return None
    within = widened(told.ratio, measured, drift=before.value / told.before.value)
    predicted = times(before.value, within)
    return GoodputForecast(
        ratio=told.ratio,
        predicted=predicted,
        result=result_of(told.ratio, within, measured),
        error=predicted.value / after.value - 1,
    )

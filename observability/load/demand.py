"""Demand model: baskets drawn from distributions, used when no file of baskets is given.

The model is fitted to published figures of the *Online Retail* data set (Daqing Chen, UCI Machine Learning Repository,
CC BY 4.0): quantiles of lines per basket, of quantities and of prices, and the share of all lines that the most
frequent 1, 10, 100 and 1,000 of its 4,070 codes have. It holds those figures and none of the data; its SKUs, 10001
(the most frequent) to 14070, are made up.
"""

import bisect
import functools
import itertools
import math
import random

from observability.load.orders import PlannedLine

SKU_COUNT = 4070
_FIRST_SKU = 10_001

# Each point is (share of the population at or below, value); between points values are interpolated geometrically.
_LINES_QUANTILES = ((0, 1), (0.10, 1), (0.25, 2), (0.50, 10), (0.75, 23), (0.90, 47), (0.99, 192), (1, 1114))
_QUANTITY_QUANTILES = ((0, 1), (0.10, 1), (0.25, 2), (0.50, 4), (0.75, 12), (0.90, 24), (0.99, 144), (1, 600))
_PRICE_QUANTILES = (
    *((0, 0.29), (0.01, 0.29), (0.10, 0.85), (0.25, 1.25), (0.50, 2.10)),
    *((0.75, 3.75), (0.90, 5.95), (0.99, 14.95), (1, 165)),
)

# The figures are 0.43 %, 3.2 %, 18.8 % and 71.9 % of all lines. A SKU is drawn at most once per basket, which flattens
# the distribution. These steeper weights compensate, so that the drawn baskets have the figures.
_CUMULATIVE_WEIGHTS = ((1, 0.0051), (10, 0.0367), (100, 0.203), (1000, 0.731), (SKU_COUNT, 1.0))

# Above the 90th percentile, sizes rise late. With this exponent the mean basket has 20.9 lines, as in the data set.
_LINES_TAIL = (0.90, 2.6)
_NO_TAIL = (1.0, 1.0)

Quantiles = tuple[tuple[float, float], ...]


def draw_order(source: random.Random, line_bounds: tuple[int, int] | None = None) -> tuple[PlannedLine, ...]:
    """Draw the lines of one order: their number (within the bounds, or as fitted), distinct SKUs, and quantities."""
    if line_bounds is None:
        count = round(_value_at(_LINES_QUANTILES, source.random(), _LINES_TAIL))
    else:
        count = source.randint(*line_bounds)
    cumulative = _cumulative_popularity()
    ranks: dict[int, None] = {}
    while len(ranks) < count:
        ranks[bisect.bisect_left(cumulative, source.random() * cumulative[-1])] = None
    return tuple(PlannedLine(sku_of_rank(rank + 1), draw_quantity(source)) for rank in ranks)


def draw_look(source: random.Random, line_bounds: tuple[int, int], sku_count: int) -> tuple[PlannedLine, ...]:
    """Draw the SKUs of one read of stock hints: distinct, uniform over the most frequent `sku_count`."""
    ranks = source.sample(range(1, sku_count + 1), source.randint(*line_bounds))
    return tuple(PlannedLine(sku_of_rank(rank), 1) for rank in ranks)


def draw_quantity(source: random.Random) -> int:
    """Draw the units of one order line, 1 to 600."""
    return round(_value_at(_QUANTITY_QUANTILES, source.random(), _NO_TAIL))


def unit_price_minor(sku: str) -> int:
    """Return the price of one unit in pence, drawn from the fitted prices; it depends on the SKU only."""
    share = random.Random(f"price:{sku}").random()
    return round(100 * _value_at(_PRICE_QUANTILES, share, _NO_TAIL))


def sku_of_rank(rank: int) -> str:
    """Return the SKU of a popularity rank, 1 (the most frequent) to 4,070."""
    return str(_FIRST_SKU + rank - 1)


def _value_at(quantiles: Quantiles, share: float, tail: tuple[float, float]) -> float:
    """Invert the distribution at `share`. Within the tail, the interpolation's progress is raised to the exponent."""
    upper = max(1, bisect.bisect_left(quantiles, share, key=lambda point: point[0]))
    (share_before, before), (share_after, after) = quantiles[upper - 1], quantiles[upper]
    progress = (share - share_before) / (share_after - share_before)
    tail_from, exponent = tail
    if share_before >= tail_from:
        progress = progress**exponent
    return math.exp((1 - progress) * math.log(before) + progress * math.log(after))


@functools.cache
def _cumulative_popularity() -> tuple[float, ...]:
    """Return the cumulative weight of each rank: joined power laws that meet the weights above exactly."""
    weights = [_CUMULATIVE_WEIGHTS[0][1]]
    for (first, share_before), (last, share_after) in itertools.pairwise(_CUMULATIVE_WEIGHTS):
        ratios = [rank / first for rank in range(first + 1, last + 1)]
        start = weights[-1]
        exponent = _exponent_for(ratios, (share_after - share_before) / start)
        weights.extend(start * ratio**-exponent for ratio in ratios)
    return tuple(itertools.accumulate(weights))


def _exponent_for(ratios: list[float], total: float) -> float:
    """Find by bisection the exponent at which the power law over `ratios` adds up to `total`."""
    low, high = 0.0, 10.0
    for _ in range(50):
        middle = (low + high) / 2
        if sum(ratio**-middle for ratio in ratios) > total:
            low = middle
        else:
            high = middle
    return low

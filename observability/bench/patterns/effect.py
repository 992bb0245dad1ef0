"""Effect of a pattern: one measured figure with its 95 % interval, and the values behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from observability.analysis.comparison import Estimate, clopper_pearson
from observability.bench.paired import estimate, paired_ratio


class Unit(StrEnum):
    """Unit of an effect: a ratio of two sides, a share of all trials, or a plain number."""

    RATIO = "ratio"
    SHARE = "share"
    NUMBER = "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternEffect:
    """One measured effect.

    what: the measured quantity in words; of a ratio, both sides.
    unit: unit of the figure.
    figure: the value with its 95 % interval.
    count: blocks, pairs of blocks, or trials behind it.
    blocks: the value of each block, by side.
    invalid: blocks that stayed invalid after a repeat, and were used anyway.
    """

    what: str
    unit: Unit
    figure: Estimate
    count: int
    blocks: Mapping[str, Sequence[float]] = field(default_factory=dict)
    invalid: int = 0


def ratio_effect(what: str, blocks: Mapping[str, Sequence[float]], *, invalid: int = 0) -> PatternEffect:
    """Return the ratio of two sides, the first over the second, block by block."""
    over, under = blocks.values()
    figure = paired_ratio(over, under)
    return PatternEffect(what=what, unit=Unit.RATIO, figure=figure, count=len(over), blocks=blocks, invalid=invalid)


def share_effect(what: str, successes: int, trials: int, *, invalid: int = 0) -> PatternEffect:
    """Return a share of trials with its exact interval."""
    low, high = clopper_pearson(successes, trials)
    figure = Estimate(successes / trials if trials else 0.0, low, high)
    return PatternEffect(what=what, unit=Unit.SHARE, figure=figure, count=trials, invalid=invalid)


def mean_effect(what: str, side: str, values: Sequence[float]) -> PatternEffect:
    """Return the mean of the blocks of one side."""
    return PatternEffect(
        what=what, unit=Unit.NUMBER, figure=estimate(values), count=len(values), blocks={side: list(values)}
    )

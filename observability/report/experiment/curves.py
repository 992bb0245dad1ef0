"""Plot of the latency distribution before and after the fix, on a logarithmic axis."""

from collections.abc import Sequence
from dataclasses import dataclass

from observability.analysis.comparison import Estimate
from observability.analysis.quantiles import quantile
from observability.experiments.runner.artifacts import Side
from observability.report.experiment.evidence import Evidence, Measured
from observability.report.pages import milliseconds
from observability.report.plots import Frame, position, shown_milliseconds, thin_out
from observability.report.scales import LinearScale, LogScale, Tick, log_scale

SIDES: tuple[Side, Side] = ("before", "after")
_POOLED_POINTS = 200
_BLOCK_POINTS = 60


@dataclass(frozen=True, slots=True)
class Curve:
    """One side as SVG paths: all its requests, and each block by itself."""

    side: Side
    pooled: str
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A quantile of a side: its place, its interval's ends, and its label, right of the interval or left of it."""

    side: Side
    x: float
    y: float
    low_x: float
    high_x: float
    label: str
    label_y: float
    label_right: bool


@dataclass(frozen=True, slots=True)
class Curves:
    """All that is drawn."""

    frame: Frame
    curves: tuple[Curve, ...]
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def draw_curves(evidence: Evidence, frame: Frame) -> Curves:
    """Place curves, marks and ticks; a height is the share of the requests that were answered by then."""
    shown = [shown_milliseconds(each) for side in SIDES for block in evidence.latencies(side) for each in block]
    latencies = log_scale(min(shown), max(shown), first=frame.x_first, last=frame.x_last)
    shares = LinearScale(100, frame.y_first, frame.y_last)
    return Curves(
        frame=frame,
        curves=tuple(_curve(side, evidence.latencies(side), latencies, shares) for side in SIDES),
        marks=tuple(mark for each in evidence.measured for mark in _marks(each, latencies, shares)),
        x_ticks=thin_out(latencies.ticks()),
        y_ticks=tuple(shares.ticks(4)),
    )


def _curve(side: Side, blocks: Sequence[Sequence[float]], latencies: LogScale, shares: LinearScale) -> Curve:
    pooled = [each for block in blocks for each in block]
    return Curve(
        side=side,
        pooled=_path(pooled, _POOLED_POINTS, latencies, shares),
        blocks=tuple(_path(block, _BLOCK_POINTS, latencies, shares) for block in blocks),
    )


def _path(seconds: Sequence[float], points: int, latencies: LogScale, shares: LinearScale) -> str:
    ordered = sorted(seconds)
    places = (
        (latencies.at(shown_milliseconds(quantile(ordered, number / points))), shares.at(100 * number / points))
        for number in range(points + 1)
    )
    return "M" + "L".join(f"{position(x)} {position(y)}" for x, y in places)


def _marks(measured: Measured, latencies: LogScale, shares: LinearScale) -> list[Mark]:
    """Write the faster side's label above its curve on the left, the slower one's below on the right: there is room."""
    y = shares.at(100 * measured.q)
    by_side: dict[Side, Estimate] = {"before": measured.before, "after": measured.after}
    slower: Side = "before" if measured.before.value >= measured.after.value else "after"
    marks = []
    for side, estimate in by_side.items():
        x, low_x, high_x = (
            latencies.at(shown_milliseconds(each)) for each in (estimate.value, estimate.low, estimate.high)
        )
        label = f"{measured.name} {milliseconds(estimate.value)} ms"
        label_y = y + 15 if side == slower else y - 6
        marks.append(Mark(side, x, y, low_x, high_x, label, label_y, side == slower))
    return marks

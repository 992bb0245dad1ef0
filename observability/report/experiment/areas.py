"""Stacked area chart over time, with one step a second."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from observability.report.experiment.saturation import SaturationChart
from observability.report.plots import Frame, position, thin_out
from observability.report.scales import LinearScale, Tick

# An axis that ends below this would make a mountain of nothing.
_LEAST_HEIGHT = 1.0
_HEADROOM = 1.05


@dataclass(frozen=True, slots=True)
class Area:
    """One series as an SVG path; `number` (from 1) is its colour."""

    number: int
    path: str


@dataclass(frozen=True, slots=True)
class Areas:
    """A stacked area chart; `counted_x_first` to `counted_x_last` is the measured part, without warm-up."""

    frame: Frame
    areas: tuple[Area, ...]
    counted_x_first: float
    counted_x_last: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def draw_areas(panel: SaturationChart, frame: Frame) -> Areas:
    """Place areas and ticks, the first series at the bottom."""
    tops: list[list[float]] = [[0.0] * panel.seconds]
    for series in panel.series:
        tops.append([below + own for below, own in zip(tops[-1], series.values, strict=True)])
    times = LinearScale(max(panel.seconds, 1), frame.x_first, frame.x_last)
    heights = LinearScale(max(_LEAST_HEIGHT, *tops[-1], 0.0) * _HEADROOM, frame.y_first, frame.y_last)
    return Areas(
        frame=frame,
        areas=tuple(
            Area(number, _path(tops[number - 1], tops[number], times, heights)) for number in range(1, len(tops))
        ),
        counted_x_first=times.at(panel.counted_from),
        counted_x_last=times.at(panel.counted_until),
        x_ticks=thin_out(times.ticks(6)),
        y_ticks=tuple(heights.ticks(3)),
    )


def _path(bottom: Sequence[float], top: Sequence[float], times: LinearScale, heights: LinearScale) -> str:
    """Go along the top, and back along the bottom; nothing where both are the same throughout."""
    if all(math.isclose(low, high) for low, high in zip(bottom, top, strict=True)):
        return ""
    forth = [(times.at(second + step), heights.at(value)) for second, value in enumerate(top) for step in (0, 1)]
    back = [(times.at(second + step), heights.at(value)) for second, value in enumerate(bottom) for step in (0, 1)]
    return "M" + "L".join(f"{position(x)} {position(y)}" for x, y in (*forth, *reversed(back))) + "Z"

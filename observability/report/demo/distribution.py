"""Distribution of the latencies: bars by outcome on a logarithmic axis, quantiles with their intervals."""

import math
from collections import Counter
from dataclasses import dataclass

from observability.report.demo.result import DemoResult
from observability.report.demo.words import quantile_name
from observability.report.pages import milliseconds
from observability.report.plots import Frame, latency_scale, shown_milliseconds, styles_of, thin_out
from observability.report.scales import LinearScale, LogScale, Tick

_BINS = 90
_BAR_SHARE_OF_BIN = 0.95
_LABEL_HEIGHT = 16


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle: its position and width across, its position and height in pixels."""

    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class Marker:
    """A quantile: its line, its interval's band (as wide as the plot where it is open), and its label."""

    x: float
    band_x: float
    band_width: float
    label: str
    label_y: float
    label_left: bool


@dataclass(frozen=True, slots=True)
class Distribution:
    """All that is drawn."""

    frame: Frame
    bars: tuple[Bar, ...]
    markers: tuple[Marker, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def draw_distribution(result: DemoResult, frame: Frame) -> Distribution:
    """Place bars, quantiles and ticks; each bin covers the same ratio of latencies."""
    scale = latency_scale(result.points.latency_seconds, first=frame.x_first, last=frame.x_last)
    heights = _bin_counts(result, scale)
    tallest = max(sum(each.values()) for each in heights.values())
    counts = LinearScale(max(tallest * 1.05, 1), frame.y_first, frame.y_last + _LABEL_HEIGHT * len(result.quantiles))
    return Distribution(
        frame=frame,
        bars=tuple(_bars(result, heights, counts, frame)),
        markers=tuple(_markers(result, scale, frame)),
        x_ticks=thin_out(scale.ticks()),
        y_ticks=tuple(counts.ticks(4)),
    )


def _bin_counts(result: DemoResult, scale: LogScale) -> dict[int, Counter[str]]:
    heights: dict[int, Counter[str]] = {}
    span = math.log(scale.high / scale.low)
    for seconds, outcome in zip(result.points.latency_seconds, result.points.outcome, strict=True):
        share = math.log(shown_milliseconds(seconds) / scale.low) / span
        heights.setdefault(min(int(share * _BINS), _BINS - 1), Counter())[outcome] += 1
    return heights


def _bars(result: DemoResult, heights: dict[int, Counter[str]], counts: LinearScale, frame: Frame) -> list[Bar]:
    bin_width = (frame.x_last - frame.x_first) / _BINS
    width = bin_width * _BAR_SHARE_OF_BIN
    bars = []
    for number, by_outcome in sorted(heights.items()):
        stacked = 0
        for style in styles_of(result.points.outcome):
            if count := by_outcome[style.outcome]:
                top, bottom = counts.at(stacked + count), counts.at(stacked)
                bars.append(Bar(frame.x_first + number * bin_width, top, width, bottom - top, style.colour))
                stacked += count
    return bars


def _markers(result: DemoResult, scale: LogScale, frame: Frame) -> list[Marker]:
    markers = []
    for row, figure in enumerate(result.quantiles):
        low = frame.x_first if figure.low_seconds is None else scale.at(shown_milliseconds(figure.low_seconds))
        high = frame.x_last if figure.high_seconds is None else scale.at(shown_milliseconds(figure.high_seconds))
        x = scale.at(shown_milliseconds(figure.seconds))
        markers.append(
            Marker(
                x=x,
                band_x=low,
                band_width=max(high - low, 1.0),
                label=f"{quantile_name(figure.q)} {milliseconds(figure.seconds)} ms",
                label_y=frame.y_last + (row + 0.75) * _LABEL_HEIGHT,
                label_left=x > (frame.x_first + frame.x_last) / 2,
            )
        )
    return markers

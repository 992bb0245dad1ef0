"""Chart of latency over time: a mark for each order, and quantile lines where a window has enough orders."""

from collections.abc import Iterator
from dataclasses import dataclass

from observability.analysis.quantiles import fewest_for, quantile
from observability.report.demo.result import Points
from observability.report.plots import (
    Frame,
    OutcomeStyle,
    latency_scale,
    position,
    shown_milliseconds,
    styles_of,
    thin_out,
)
from observability.report.scales import LinearScale, LogScale, Tick

_WINDOWS = 30


@dataclass(frozen=True, slots=True)
class Marks:
    """The places of the marks of one outcome: across, and in pixels from the top."""

    style: OutcomeStyle
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class QuantileLine:
    """A line through one quantile of each window, as an SVG path."""

    label: str
    path: str
    dashed: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is drawn; `window_seconds` is what each point of the lines covers."""

    frame: Frame
    marks: tuple[Marks, ...]
    lines: tuple[QuantileLine, ...]
    window_seconds: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def draw_timeline(points: Points, frame: Frame, *, duration_seconds: float) -> Timeline:
    """Place marks, lines and ticks over the seconds in which orders were due."""
    times = LinearScale(max(duration_seconds, *points.at_seconds), frame.x_first, frame.x_last)
    latencies = latency_scale(points.latency_seconds, first=frame.y_first, last=frame.y_last)
    window_seconds = times.high / _WINDOWS
    return Timeline(
        frame=frame,
        marks=tuple(Marks(style, _marks(points, style, times, latencies)) for style in styles_of(points.outcome)),
        lines=tuple(
            QuantileLine(label, path, dashed)
            for label, q, dashed in (("median", 0.5, False), ("95th percentile", 0.95, True))
            if (path := _line(points, q, window_seconds, times, latencies))
        ),
        window_seconds=window_seconds,
        x_ticks=thin_out(times.ticks(6)),
        y_ticks=tuple(latencies.ticks()),
    )


def _marks(points: Points, style: OutcomeStyle, times: LinearScale, latencies: LogScale) -> tuple[tuple[int, int], ...]:
    """Return each occupied place once, so that a long run makes no larger page than a short one."""
    occupied = {
        (round(times.at(at_seconds)), round(latencies.at(shown_milliseconds(seconds))))
        for at_seconds, seconds, outcome in _rows(points)
        if outcome == style.outcome
    }
    return tuple(sorted(occupied))


def _line(points: Points, q: float, window_seconds: float, times: LinearScale, latencies: LogScale) -> str:
    windows: list[list[float]] = [[] for _ in range(_WINDOWS)]
    for at_seconds, seconds, _ in _rows(points):
        windows[min(int(at_seconds / window_seconds), _WINDOWS - 1)].append(seconds)
    places = [
        (times.at((number + 0.5) * window_seconds), latencies.at(shown_milliseconds(quantile(sorted(window), q))))
        for number, window in enumerate(windows)
        if len(window) >= fewest_for(q)
    ]
    return "M" + "L".join(f"{position(x)} {position(y)}" for x, y in places) if places else ""


def _rows(points: Points) -> Iterator[tuple[float, float, str]]:
    return zip(points.at_seconds, points.latency_seconds, points.outcome, strict=True)

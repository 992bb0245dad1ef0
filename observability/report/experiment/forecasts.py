"""Plot of predicted and measured values, each with its interval."""

from collections.abc import Iterator
from dataclasses import dataclass

from observability.analysis.comparison import Estimate
from observability.experiments.runner.goodput import MeasuredGoodput
from observability.report.experiment.evidence import Evidence
from observability.report.experiment.words import rate
from observability.report.pages import milliseconds
from observability.report.plots import Frame, thin_out
from observability.report.scales import LinearScale, Tick

_MILLISECONDS = 1e3
_ROW_PIXELS = 24
_GAP_PIXELS = 14
# Room for the names and for the figures.
_LEFT_PIXELS = 116
_RIGHT_PIXELS = 56


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """One figure: its interval from `low_x` to `high_x` (the same where it has none), and its place."""

    kind: str
    label: str
    value: str
    y: float
    x: float
    low_x: float
    high_x: float


@dataclass(frozen=True, slots=True)
class Forecasts:
    """All that is drawn; `axis` says what it is measured in."""

    axis: str
    frame: Frame
    rows: tuple[ForecastRow, ...]
    x_ticks: tuple[Tick, ...]


def draw_forecasts(evidence: Evidence) -> Forecasts:
    """Place a row for each figure, those of a quantile together."""
    goodput = evidence.score.goodput
    figures = list(_figures(evidence) if goodput is None else _figures_of_goodput(goodput))
    groups = len({name for _, name, _ in figures})
    unit = _MILLISECONDS if goodput is None else 1.0
    height = len(figures) * _ROW_PIXELS + groups * _GAP_PIXELS + 50
    frame = Frame(height=height, left=_LEFT_PIXELS, right=_RIGHT_PIXELS, top=4, bottom=46)
    highest = max(_shown(estimate)[2] for _, _, estimate in figures)
    scale = LinearScale(highest * unit * 1.05, frame.x_first, frame.x_last)
    rows = []
    y = frame.y_last
    quantile = ""
    for kind, name, estimate in figures:
        y += _ROW_PIXELS + (_GAP_PIXELS if quantile and name != quantile else 0)
        quantile = name
        x, low_x, high_x = (scale.at(each * unit) for each in _shown(estimate))
        value = milliseconds(estimate.value) if goodput is None else rate(estimate.value)
        rows.append(ForecastRow(kind, f"{name} {kind}", value, y - _ROW_PIXELS / 2, x, low_x, high_x))
    axis = "latency, ms" if goodput is None else "answered rightly in time, orders a second"
    return Forecasts(axis=axis, frame=frame, rows=tuple(rows), x_ticks=thin_out(scale.ticks(5)))


def _figures(evidence: Evidence) -> Iterator[tuple[str, str, Estimate]]:
    """Return kind, quantile and figure of each row."""
    forecasts = {forecast.quantile: forecast for forecast in evidence.score.forecasts}
    for measured in evidence.measured:
        yield "before", measured.name, measured.before
        yield "after", measured.name, measured.after
        if forecast := forecasts.get(measured.name):
            yield "predicted", measured.name, forecast.predicted


def _figures_of_goodput(goodput: MeasuredGoodput) -> Iterator[tuple[str, str, Estimate]]:
    yield "before", "goodput", goodput.before
    yield "after", "goodput", goodput.after
    if goodput.forecast is not None:
        yield "predicted", "goodput", goodput.forecast.predicted


def _shown(estimate: Estimate) -> tuple[float, float, float]:
    """Draw an interval without an upper bound up to its value alone, and none below 0."""
    return estimate.value, max(0.0, estimate.low), estimate.high if estimate.high < float("inf") else estimate.value

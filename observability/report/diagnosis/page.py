"""Page of a diagnosis: one self-contained HTML file, byte for byte the same from the same observation."""

from collections.abc import Sequence
from dataclasses import dataclass

from observability.analysis.comparison import Estimate
from observability.analysis.observation import Observation
from observability.analysis.time_table import TimeKind, TimeRow
from observability.analysis.verdict import Answer, Verdict
from observability.report.pages import duration, milliseconds, page_environment
from observability.report.scales import LinearScale, Tick
from observability.report.slow_request import slow_request

_MOST_ROWS = 20
# Smaller parts are summed up.
_LEAST_SHARE = 0.005
_COLOURS = {
    TimeKind.CODE: "#2b6cb0",
    TimeKind.CALL: "#0f766e",
    TimeKind.TRANSIT: "#b7791f",
    TimeKind.WAIT: "#c53030",
}
_KINDS = {
    TimeKind.CODE: "own code",
    TimeKind.CALL: "call whose callee recorded nothing",
    TimeKind.TRANSIT: "way between two services",
    TimeKind.WAIT: "wait for a connection",
}
_TITLES = {Answer.NONE: "No bottleneck", Answer.CANNOT_TELL: "Cannot tell"}


@dataclass(frozen=True, slots=True)
class TimeBar:
    """A row of the time table as a bar; positions are in per cent of the track."""

    row: TimeRow
    colour: str
    width: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TimeBars:
    """The largest rows, a scale of shares in per cent, what is left out, and the legend."""

    bars: tuple[TimeBar, ...]
    ticks: tuple[Tick, ...]
    rest_count: int
    rest_share: float
    legend: dict[str, str]


def render(verdict: Verdict, observation: Observation, *, source: str) -> str:
    """Render the page of a verdict on an observation, which was read from `source`."""
    template = page_environment("observability.report.diagnosis").get_template("diagnosis.html.j2")
    return template.render(
        verdict=verdict,
        title=title(verdict),
        source=source,
        found=verdict.answer is Answer.FOUND,
        bars=draw_bars(verdict.time_table),
        slow=slow_request(observation, verdict.trace_ids),
        share=share,
        interval=interval,
    )


def title(verdict: Verdict) -> str:
    """Return the answer in a few words."""
    if verdict.bottleneck is None:
        return _TITLES[verdict.answer]
    name = verdict.bottleneck.replace("_", " ")
    where = f"{verdict.operation} of {verdict.service}" if verdict.operation else verdict.service
    return f"{name[:1].upper()}{name[1:]}: {where}"


def draw_bars(rows: Sequence[TimeRow]) -> TimeBars:
    """Return the bars of the largest rows, scaled to the largest."""
    shown = [row for row in rows[:_MOST_ROWS] if row.share.value >= _LEAST_SHARE]
    rest = rows[len(shown) :]
    most = max((row.share.high for row in shown), default=1.0) or 1.0
    scale = LinearScale(100 * most, 0, 100)
    return TimeBars(
        bars=tuple(
            TimeBar(row, _COLOURS[row.kind], *(scale.at(100 * each) for each in _values(row.share))) for row in shown
        ),
        ticks=tuple(scale.ticks(4)),
        rest_count=len(rest),
        rest_share=sum(row.share.value for row in rest),
        legend={_KINDS[kind]: colour for kind, colour in _COLOURS.items() if any(row.kind is kind for row in shown)},
    )


def _values(share: Estimate) -> tuple[float, float, float]:
    return share.value, share.low, share.high


def share(value: float) -> str:
    """Write a share in per cent."""
    return f"{100 * value:.0f}\N{NO-BREAK SPACE}%"


def interval(estimate: Estimate) -> str:
    """Write an interval of times."""
    return f"{milliseconds(estimate.low)} to {duration(estimate.high)}"

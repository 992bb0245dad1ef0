"""Page of a demo's result: one HTML file that opens anywhere, the same bytes from the same result each time."""

from collections.abc import Iterable
from dataclasses import dataclass

from jinja2 import Environment

from observability.report.demo import words
from observability.report.demo.distribution import Distribution, draw_distribution
from observability.report.demo.result import DemoResult, Waterfall
from observability.report.demo.timeline import Timeline, draw_timeline
from observability.report.pages import page_environment
from observability.report.plots import Frame, styles_of
from observability.report.scales import LinearScale, Tick
from observability.report.waterfall_rows import row_colours

_FRAME = Frame(height=340, left=56, right=16, top=10, bottom=46)
_MAXIMUM_ROWS = 80


@dataclass(frozen=True, slots=True)
class DrawnWaterfall:
    """A waterfall with the ticks of its time line in per cent; `left_out` rows are not shown."""

    waterfall: Waterfall
    ticks: tuple[Tick, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class DemoDrawings:
    """All charts of a demo's result."""

    distribution: Distribution
    timeline: Timeline
    waterfalls: tuple[DrawnWaterfall, ...]
    colours: dict[str, str]


def render(result: DemoResult, *, run_folder: str = "") -> str:
    """Render the page; `run_folder` leads from where the page lies to the run's folder, and ends with a slash."""
    template = template_environment().get_template("report.html.j2")
    return template.render(
        result=result,
        run_folder=run_folder,
        headline=words.headline(result),
        share=words.share,
        too_few=words.too_few(result),
        styles=styles_of(result.points.outcome),
        drawn=_draw(result),
        maximum_rows=_MAXIMUM_ROWS,
    )


def template_environment(*packages: str) -> Environment:
    """Make what finds the templates of these packages, and the ones here, and writes figures as `words` does."""
    environment = page_environment(*packages)
    environment.filters.update(interval=words.interval, quantile_name=words.quantile_name, counts=words.counts)
    return environment


def component_colours(waterfalls: Iterable[Waterfall]) -> dict[str, str]:
    """Return each component its colour, in the order in which they come first."""
    return row_colours(row for waterfall in waterfalls for row in waterfall.rows)


def _draw(result: DemoResult) -> DemoDrawings:
    return DemoDrawings(
        distribution=draw_distribution(result, _FRAME),
        timeline=draw_timeline(result.points, _FRAME, duration_seconds=result.duration_seconds),
        waterfalls=tuple(_draw_waterfall(waterfall) for waterfall in result.waterfalls),
        colours=component_colours(result.waterfalls),
    )


def _draw_waterfall(waterfall: Waterfall) -> DrawnWaterfall:
    scale = LinearScale(max(waterfall.duration_seconds * 1e3, 1e-3), 0, 100)
    left_out = max(0, len(waterfall.rows) - _MAXIMUM_ROWS)
    return DrawnWaterfall(waterfall, tuple(scale.ticks(5)), left_out)

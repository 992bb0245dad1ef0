"""Page of a demo's result: one HTML file that opens anywhere, the same bytes from the same result each time."""

from collections.abc import Iterable
from dataclasses import dataclass

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from observability.report.demo import words
from observability.report.demo.distribution import Distribution, draw_distribution
from observability.report.demo.result import DemoResult, Waterfall, WaterfallRow
from observability.report.demo.timeline import Timeline, draw_timeline
from observability.report.plots import Frame, percent, position, styles_of
from observability.report.scales import LinearScale, Tick

_FRAME = Frame(height=340, left=56, right=16, top=10, bottom=46)
_COMPONENT_COLOURS = ("#0f766e", "#2b6cb0", "#b7791f", "#805ad5", "#c53030", "#4a5568")
_MAXIMUM_ROWS = 80


@dataclass(frozen=True, slots=True)
class DrawnWaterfall:
    """A waterfall with the ticks of its time line in per cent; `left_out` rows are not shown."""

    waterfall: Waterfall
    ticks: tuple[Tick, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class DemoDrawings:
    """All that is drawn of a result."""

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
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, "observability.report.demo")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        milliseconds=words.milliseconds,
        duration=words.duration,
        interval=words.interval,
        quantile_name=words.quantile_name,
        counts=words.counts,
        short_name=short_name,
        position=position,
        percent=percent,
    )
    return environment


def short_name(name: str) -> str:
    """Leave out the package of an RPC's name, as in InventoryService/ReserveStock."""
    package, slash, method = name.rpartition("/")
    return f"{package.rpartition('.')[2]}/{method}" if slash and " " not in name else name


def component_colours(waterfalls: Iterable[Waterfall]) -> dict[str, str]:
    """Return each component its colour, in the order in which they come first."""
    return row_colours(row for waterfall in waterfalls for row in waterfall.rows)


def row_colours(rows: Iterable[WaterfallRow]) -> dict[str, str]:
    """Return the component of each row its colour, in the order in which they come first."""
    names = dict.fromkeys(row.component for row in rows)
    return {name: _COMPONENT_COLOURS[number % len(_COMPONENT_COLOURS)] for number, name in enumerate(names)}


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

"""Page of a trial: one self-contained HTML file, byte for byte the same from the same folder."""

from dataclasses import dataclass

from observability.experiments.runner.artifacts import Folder
from observability.report.demo.page import template_environment
from observability.report.experiment import words
from observability.report.experiment.areas import Areas, draw_areas
from observability.report.experiment.blocks import answers, block_rows
from observability.report.experiment.curves import Curves, draw_curves
from observability.report.experiment.evidence import Evidence, read_evidence
from observability.report.experiment.forecasts import Forecasts, draw_forecasts
from observability.report.experiment.saturation import SaturationChart, saturation
from observability.report.plots import Frame
from observability.report.slow_request import SlowRequest, slow_request

_CURVES = Frame(height=360, left=56, right=16, top=14, bottom=46)
_AREAS = Frame(height=210, left=56, right=16, top=10, bottom=44)


@dataclass(frozen=True, slots=True)
class DrawnPanel:
    """A panel of the saturation, and its drawing."""

    panel: SaturationChart
    drawn: Areas


@dataclass(frozen=True, slots=True)
class TrialDrawings:
    """All that is drawn of a trial."""

    curves: Curves
    forecasts: Forecasts
    slow: SlowRequest | None
    panels: tuple[DrawnPanel, ...]


def render_trial(folder: Folder) -> str:
    """Render the page of a finished trial. Raises NotFinished, and OSError for what may not be read."""
    return render(read_evidence(folder))


def render(evidence: Evidence) -> str:
    """Render the page."""
    template = template_environment("observability.report.experiment").get_template("trial.html.j2")
    return template.render(
        evidence=evidence,
        words=words,
        drawn=_draw(evidence),
        forecast_of={forecast.quantile: forecast for forecast in evidence.score.forecasts},
        rows=block_rows(evidence),
        answers=answers(evidence),
    )


def _draw(evidence: Evidence) -> TrialDrawings:
    return TrialDrawings(
        curves=draw_curves(evidence, _CURVES),
        forecasts=draw_forecasts(evidence),
        slow=slow_request(evidence.observation),
        panels=tuple(DrawnPanel(panel, draw_areas(panel, _AREAS)) for panel in saturation(evidence.observation)),
    )

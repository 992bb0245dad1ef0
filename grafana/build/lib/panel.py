"""Panels as data: queries, unit, limits, and the description that explains them."""

from dataclasses import dataclass, field
from enum import StrEnum


class PanelKind(StrEnum):
    """Kinds of panels, by the name of Grafana's panel."""

    LINES = "timeseries"
    NUMBER = "stat"
    TABLE = "table"
    LOGS = "logs"
    TRACES = "table of traces"
    GRAPH = "nodeGraph"


@dataclass(frozen=True, slots=True)
class Words:
    """Description of a panel.

    shows: what the panel shows, one or two sentences
    good: values of a healthy system
    bad: values of an unhealthy system, and the alert that fires
    then: where to look next
    """

    shows: str
    good: str
    bad: str
    then: str

    def __str__(self) -> str:
        """Return the panel's description: four paragraphs."""
        return f"{self.shows}\n\nGood: {self.good}\n\nBad: {self.bad}\n\nNext: {self.then}"


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    expression: PromQL or LogQL; for Jaeger the service whose traces are searched
    legend: name of a line; in a table, of the value's column
    exemplars: whether to draw exemplars, which lead to traces
    tags: for Jaeger, tags that a trace must carry
    """

    expression: str
    legend: str = ""
    exemplars: bool = False
    tags: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """Limit of an alert or an objective, drawn as a line.

    value: the limit, in the panel's unit
    critical: red and not orange
    bad_below: values below the limit are bad, not those above
    """

    value: float
    critical: bool = False
    bad_below: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of a dashboard. Ids are given by hand and never change, because alerts link to them.

    id: ten times the number of its row, plus its number within the row
    title: heading of the panel, named in runbooks
    unit: Grafana's name of the unit
    words: the description
    queries: what the panel reads
    kind: how the panel is drawn
    limits: lines at the limits of alerts and objectives
    width: columns, of 24
    opens: uid of the dashboard that the panel links to
    stacked: whether lines are stacked
    """

    id: int
    title: str
    unit: str
    words: Words
    queries: tuple[Query, ...]
    kind: PanelKind = PanelKind.LINES
    limits: tuple[Limit, ...] = ()
    width: int = 8
    opens: str = ""
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class PanelRow:
    """Panels under one of the seven headings."""

    heading: "Heading"
    panels: tuple[Panel, ...]


class Heading(StrEnum):
    """Rows of every dashboard, in this order: from what customers see down to the causes."""

    SLO = "SLO"
    RATE = "Rate"
    ERRORS = "Errors"
    DURATION = "Duration"
    SATURATION = "Saturation"
    RESOURCES = "Resources"
    SIGNALS = "Logs and traces"

    @property
    def number(self) -> int:
        """Number of the row, from 1; the ids of its panels begin with it."""
        return list(Heading).index(self) + 1


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard, as its module describes it."""

    uid: str
    title: str
    description: str
    rows: tuple[PanelRow, ...] = field(default=())

"""What is a panel? What it asks, of which datasource, and the words that tell its reader what to make of it."""

from dataclasses import dataclass, field
from enum import StrEnum


class PanelKind(StrEnum):
    """How a panel is drawn."""

    LINES = "timeseries"
    NUMBER = "stat"
    TABLE = "table"
    LOGS = "logs"
    TRACES = "table of traces"
    GRAPH = "nodeGraph"


@dataclass(frozen=True, slots=True)
class Words:
    """What the reader is told: which question the panel answers, what good looks like, what to open next."""

    question: str
    good: str
    then: str

    def __str__(self) -> str:
        """Return the three as the panel's description."""
        return f"{self.question}\n\nGood: {self.good}\n\nNext: {self.then}"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression in PromQL or LogQL; for Jaeger the expression is the service whose traces are searched."""

    expression: str
    legend: str = ""
    exemplars: bool = False
    tags: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that an alert or an objective uses; `bad_below` where less is worse."""

    value: float
    critical: bool = False
    bad_below: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of a dashboard; ids are given by hand and kept, since alerts link to them.

    `id` is ten times the row's number plus the place in it; `width` is of 24 columns; `opens` is a dashboard's uid.
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
    """The rows of every dashboard, in this order: from what customers see down to what explains it."""

    SLO = "SLO"
    RATE = "Rate"
    ERRORS = "Errors"
    DURATION = "Duration"
    SATURATION = "Saturation"
    RESOURCES = "Resources"
    SIGNALS = "Logs and traces"

    @property
    def number(self) -> int:
        """The heading's place, from 1; the ids of its panels begin with it."""
        return list(Heading).index(self) + 1


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard, as its module describes it."""

    uid: str
    title: str
    description: str
    rows: tuple[PanelRow, ...] = field(default=())

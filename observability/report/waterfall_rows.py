"""Rows of a waterfall on a page, and the colours of their components."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from observability.analysis.waterfall import BarSegment

_COMPONENT_COLOURS = ("#0f766e", "#2b6cb0", "#b7791f", "#805ad5", "#c53030", "#4a5568")


@dataclass(frozen=True, slots=True)
class WaterfallRow:
    """One span; `component` gives it its colour, `own` is where it ran and none of its children did.

    `attributes` are those of the span as text, by name; in a row of several spans those of the first.
    """

    depth: int
    name: str
    kind: str
    component: str
    failed: bool
    offset_seconds: float
    duration_seconds: float
    self_seconds: float
    bar: BarSegment
    own: tuple[BarSegment, ...]
    span_id: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


def row_colours(rows: Iterable[WaterfallRow]) -> dict[str, str]:
    """Return the component of each row its colour, in the order in which they come first."""
    names = dict.fromkeys(row.component for row in rows)
    return {name: _COMPONENT_COLOURS[number % len(_COMPONENT_COLOURS)] for number, name in enumerate(names)}

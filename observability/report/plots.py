"""Elements of all plots: their frame, the colours of outcomes, and the latency axis.

A plot is drawn once for screens of all widths. Its text and its height are in pixels and keep their size; only what is
placed across is relative to the width that the screen leaves.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from observability.report.scales import LogScale, Tick, log_scale

_LEAST_MILLISECONDS = 0.01
# Positions across are in thousandths of what is between the margins.
_ACROSS = 1_000
# A label with the gap to its neighbour, as a part of a plot on a phone and on a wide screen.
_LABEL_ON_PHONE = 130
_LABEL_ON_SCREEN = 45


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot's height and the margins around what it draws, in pixels. Its width is what the screen leaves."""

    height: int
    left: int
    right: int
    top: int
    bottom: int

    @property
    def x_first(self) -> int:
        """The left end of the drawing, in thousandths of its width."""
        return 0

    @property
    def x_last(self) -> int:
        """The right end of the drawing, in thousandths of its width."""
        return _ACROSS

    @property
    def y_first(self) -> int:
        """The lower end of the drawing, in pixels."""
        return self.height - self.bottom

    @property
    def y_last(self) -> int:
        """The upper end of the drawing, in pixels."""
        return self.top


@dataclass(frozen=True, slots=True)
class OutcomeStyle:
    """The mark, colour and legend of the orders with one outcome."""

    outcome: str
    label: str
    colour: str
    cross: bool


# Drawn in this order, the rare ones on top. Crosses and dots differ for those who see no colours.
OUTCOME_STYLES = (
    OutcomeStyle("confirmed", "sold", "#2b6cb0", cross=False),
    OutcomeStyle("rejected", "rejected", "#dd6b20", cross=True),
    OutcomeStyle("pending", "pending", "#805ad5", cross=True),
    OutcomeStyle("error", "error", "#c53030", cross=True),
    OutcomeStyle("transport", "no answer", "var(--ink)", cross=True),
)


def styles_of(outcomes: Iterable[str]) -> list[OutcomeStyle]:
    """Return the styles of the outcomes that occur."""
    present = set(outcomes)
    return [style for style in OUTCOME_STYLES if style.outcome in present]


def shown_milliseconds(seconds: float) -> float:
    """Return a latency in milliseconds as a logarithmic axis can show it."""
    return max(seconds * 1e3, _LEAST_MILLISECONDS)


def latency_scale(latencies: Iterable[float], *, first: float, last: float) -> LogScale:
    """Return an axis in milliseconds that holds all latencies, which are in seconds."""
    shown = [shown_milliseconds(seconds) for seconds in latencies]
    return log_scale(min(shown), max(shown), first=first, last=last)


def thin_out(ticks: Iterable[Tick]) -> tuple[Tick, ...]:
    """Leave out ticks whose labels would touch on a wide screen; mark the labels that a phone has no room for."""
    kept: list[Tick] = []
    shown_on_phone = -math.inf
    for tick in ticks:
        if kept and tick.at - kept[-1].at < _LABEL_ON_SCREEN:
            continue
        wide_only = tick.at - shown_on_phone < _LABEL_ON_PHONE
        shown_on_phone = shown_on_phone if wide_only else tick.at
        kept.append(replace(tick, wide_only=wide_only))
    return tuple(kept)


def position(at: float) -> str:
    """Write a position as short as its tenth needs."""
    return f"{at:.1f}".removesuffix(".0")


def percent(across: float) -> str:
    """Write a position or a length across, in thousandths of the width, as per cent."""
    return f"{across / 10:.2f}".rstrip("0").removesuffix(".") + "%"

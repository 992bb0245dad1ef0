"""Elements of all plots: their frame, the colours of outcomes, and the latency axis."""

from collections.abc import Iterable
from dataclasses import dataclass

from observability.report.scales import LogScale, log_scale

_LEAST_MILLISECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot's size and the margins around what it draws, in pixels."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int

    @property
    def x_first(self) -> int:
        """Where the drawing begins on the left."""
        return self.left

    @property
    def x_last(self) -> int:
        """Where the drawing ends on the right."""
        return self.width - self.right

    @property
    def y_first(self) -> int:
        """Where the drawing begins at the bottom."""
        return self.height - self.bottom

    @property
    def y_last(self) -> int:
        """Where the drawing ends at the top."""
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


def position(pixels: float) -> str:
    """Write a position as short as its tenth of a pixel needs."""
    return f"{pixels:.1f}".removesuffix(".0")

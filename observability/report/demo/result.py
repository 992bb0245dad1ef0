"""Result of a demo: everything that its report shows, as plain values that are stored as JSON.

Times are seconds, counts are whole numbers; dictionaries map a name or reason to a count.
"""

from dataclasses import dataclass, field
from typing import Literal

import orjson
from pydantic import TypeAdapter, ValidationError

from observability.report.waterfall_rows import WaterfallRow

FORMAT = "plumbline-demo/3"

# The quantiles that are shown when there are enough values.
QUANTILES = (0.50, 0.95, 0.99)

Mode = Literal["services", "monolith"]
Bus = Literal["postgres", "nats"]


@dataclass(frozen=True, slots=True)
class Phases:
    """How long the parts of a demo took.

    Until the shop was stocked, under load, until all that the orders had set off had happened, and until the end.
    """

    set_up_seconds: float
    load_seconds: float
    settle_seconds: float
    stop_seconds: float


@dataclass(frozen=True, slots=True)
class OrderFigures:
    """What became of the orders; `expected_rejections` is how many the plan put out of stock.

    `counted` says so in words whose parts add up, and `judged` why orders failed, if any did.
    """

    scheduled: int
    sent: int
    confirmed: int
    pending: int
    rejected: dict[str, int]
    errors: dict[str, int]
    unanswered: dict[str, int]
    expected_rejections: int
    throughput_per_second: float
    counted: str
    judged: str

    @property
    def rejections(self) -> int:
        """Orders rejected, for whatever reason."""
        return sum(self.rejected.values())


@dataclass(frozen=True, slots=True)
class QuantileFigure:
    """A quantile of some durations and its 95 % interval (None: they are too few for that bound)."""

    q: float
    seconds: float
    low_seconds: float | None
    high_seconds: float | None


@dataclass(frozen=True, slots=True)
class SideEffectFigure:
    """How long something took that no customer waited for; `count` is how often it happened."""

    name: str
    count: int
    quantiles: tuple[QuantileFigure, ...]


@dataclass(frozen=True, slots=True)
class Points:
    """Each order in three columns of equal length: when it was due, its latency, how it ended."""

    at_seconds: tuple[float, ...]
    latency_seconds: tuple[float, ...]
    outcome: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GateFigure:
    """One check of the load generator; `status` is passed, failed or not checked."""

    name: str
    status: str
    sentence: str


@dataclass(frozen=True, slots=True)
class RedRow:
    """One operation. `errors` are all that did not end well, `faults` those that are the platform's own fault.

    Quantiles are estimates from histogram buckets.
    """

    component: str
    name: str
    count: int
    rate_per_second: float
    errors: int
    faults: int
    p50_seconds: float | None
    p95_seconds: float | None
    outcomes: dict[str, int]

    @property
    def rejected(self) -> int:
        """Correct answers that are no success, as to an order that ran out of stock."""
        return self.errors - self.faults


@dataclass(frozen=True, slots=True)
class RedTable:
    """Operations of one kind; `key` is stable, `title` is for people."""

    key: str
    title: str
    rows: tuple[RedRow, ...]


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The trace of one order; `latency_seconds` is what its customer saw, `duration_seconds` what the server did."""

    title: str
    trace_id: str
    order_id: str
    outcome: str
    lines: int
    latency_seconds: float
    duration_seconds: float
    rows: tuple[WaterfallRow, ...]


@dataclass(frozen=True, slots=True)
class IntegrityCheck:
    """Something that must hold of the traces, with the counts in a sentence."""

    sentence: str
    passed: bool


@dataclass(frozen=True, slots=True)
class TraceIntegrity:
    """Whether the traces are complete and lead where they should; `traces` counts them by root name."""

    spans: int
    traces: dict[str, int]
    checks: tuple[IntegrityCheck, ...]

    @property
    def broken(self) -> tuple[IntegrityCheck, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.passed)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """All that a demo measured.

    `capacity_per_second` is what a closed loop sold before the load. `quantiles` are of the latency from the intended
    send time, of the orders that were sold; there is none of which they are too few to give both bounds. `experiment`
    is the path of the report of the experiment that followed, from this run's folder; empty where there was none.
    """

    run_id: str
    started_at: str
    mode: Mode
    bus: Bus
    rate_per_second: float
    capacity_per_second: float
    duration_seconds: float
    seed: int
    environment: dict[str, str]
    phases: Phases
    orders: OrderFigures
    quantiles: tuple[QuantileFigure, ...]
    effects: tuple[SideEffectFigure, ...]
    points: Points
    invalid_because: tuple[str, ...]
    gates: tuple[GateFigure, ...]
    tables: tuple[RedTable, ...]
    waterfalls: tuple[Waterfall, ...]
    integrity: TraceIntegrity
    experiment: str = ""
    format: str = field(default=FORMAT)

    def to_json(self) -> bytes:
        """Encode everything, indented."""
        return orjson.dumps(self, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def parse_result(document: bytes) -> DemoResult:
    """Read what `to_json` wrote; raises ValueError with a sentence for anything else."""
    try:
        result = TypeAdapter(DemoResult).validate_json(document)
    except ValidationError as error:
        raise ValueError(f"not the result of a demo: {error.error_count()} fields do not fit") from error
    if result.format != FORMAT:
        raise ValueError(f"a result of format {result.format!r}; this version reads {FORMAT}")
    return result

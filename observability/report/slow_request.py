"""Spans of one slow request on one time line, with the critical path marked on them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from observability.analysis.critical_path import PathSegment as Stretch
from observability.analysis.observation import Observation
from observability.analysis.requests import Request, requests_of
from observability.analysis.waterfall import BarSegment, SpanRow, flatten
from observability.report.pages import short_name
from observability.report.scales import LinearScale, Tick
from observability.report.waterfall_rows import WaterfallRow, row_colours

_SLOW = 0.95
_MAXIMUM_ROWS = 80
_FEWEST_REPEATS = 3
_NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """A slow one of `requests`: at the 95th percentile, unless `is_example` of what the diagnosis names.

    The `own` parts of a row are those on the critical path; their sum is `self_seconds`. `left_out` rows follow the
    answer, or exceed the limit.
    """

    trace_id: str
    is_example: bool
    seconds: float
    requests: int
    rows: tuple[WaterfallRow, ...]
    left_out: int
    ticks: tuple[Tick, ...]
    colours: dict[str, str]


def slow_request(observation: Observation, examples: Sequence[str] = ()) -> SlowRequest | None:
    """Describe the request of the first of these traces, or else a typical slow one; None without a whole one."""
    requests = sorted(requests_of(observation.traces), key=lambda each: (each.seconds, each.root.span.trace_id))
    if not requests:
        return None
    example = next((each for each in requests if each.root.span.trace_id in examples[:1]), None)
    chosen = example or requests[round(_SLOW * (len(requests) - 1))]
    all_rows = flatten(chosen.root)
    waited_for = _path_by_span(chosen)
    within = [row for row in all_rows if row.bar.start < 1]
    rows = _fold([_row(row, waited_for.get(row.span.span_id, []), chosen) for row in within])
    shown = tuple(rows[:_MAXIMUM_ROWS])
    scale = LinearScale(max(chosen.seconds * 1e3, 1e-3), 0, 100)
    return SlowRequest(
        trace_id=chosen.root.span.trace_id,
        is_example=example is not None,
        seconds=chosen.seconds,
        requests=len(requests),
        rows=shown,
        left_out=len(all_rows) - len(within) + len(rows) - len(shown),
        ticks=tuple(scale.ticks(5)),
        colours=row_colours(shown),
    )


def _path_by_span(request: Request) -> dict[str, list[Stretch]]:
    by_span: dict[str, list[Stretch]] = defaultdict(list)
    for stretch in request.path:
        by_span[stretch.node.span.span_id].append(stretch)
    return by_span


def _row(row: SpanRow, waited_for: list[Stretch], request: Request) -> WaterfallRow:
    return WaterfallRow(
        depth=row.depth,
        name=row.span.name,
        kind=row.span.kind.name.lower(),
        component=row.span.service,
        failed=row.span.status.name == "ERROR",
        offset_seconds=row.offset_nanoseconds / _NANOSECONDS,
        duration_seconds=row.duration_nanoseconds / _NANOSECONDS,
        self_seconds=sum(stretch.duration_nanoseconds for stretch in waited_for) / _NANOSECONDS,
        bar=row.bar,
        own=tuple(_share(stretch, request) for stretch in waited_for),
        span_id=row.span.span_id,
        attributes=row.span.attributes_as_text(),
    )


def _fold(rows: Sequence[WaterfallRow]) -> list[WaterfallRow]:
    """Put calls that repeat one after the other, and call nothing themselves, into one row."""
    folded: list[WaterfallRow] = []
    for _, group in groupby(enumerate(rows), key=lambda each: _repeats(rows, each[0])):
        alike = [row for _, row in group]
        folded += [_together(alike)] if len(alike) >= _FEWEST_REPEATS else alike
    return folded


def _repeats(rows: Sequence[WaterfallRow], at: int) -> tuple[object, ...]:
    """Return the key by which repeated calls share a row; a row with children shares it with no other."""
    row = rows[at]
    calls = at + 1 < len(rows) and rows[at + 1].depth > row.depth
    return row.depth, row.name, row.kind, row.component, row.failed, at if calls else None


def _together(rows: Sequence[WaterfallRow]) -> WaterfallRow:
    first, last = rows[0], max(rows, key=lambda row: row.bar.start + row.bar.width)
    return replace(
        first,
        name=f"{short_name(first.name)} \N{MULTIPLICATION SIGN} {len(rows)}",
        duration_seconds=sum(row.duration_seconds for row in rows),
        self_seconds=sum(row.self_seconds for row in rows),
        bar=BarSegment(first.bar.start, last.bar.start + last.bar.width - first.bar.start),
        own=tuple(stretch for row in rows for stretch in row.own),
    )


def _share(stretch: Stretch, request: Request) -> BarSegment:
    """Return a stretch in shares of the request's time."""
    root = request.root.span
    start = (stretch.start_nanoseconds - root.start_nanoseconds) / root.duration_nanoseconds
    return BarSegment(start, stretch.duration_nanoseconds / root.duration_nanoseconds)

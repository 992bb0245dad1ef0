"""Choice of a typical and a slow order of a demo, each with the waterfall of its trace."""

from collections.abc import Sequence

from observability.analysis.trees import Trace
from observability.analysis.waterfall import SpanRow, flatten
from observability.demo.notification_latency import ORDER_ROOT
from observability.load.outcomes import OutcomeKind
from observability.load.recorder import RequestRecord
from observability.report.demo.result import Waterfall
from observability.report.waterfall_rows import WaterfallRow

_ORDER_ID = "shop.order.id"
_CONTEXT = "shop.context"
_NANOSECONDS = 1e9
_CHOICES = (("A typical order (the median of those confirmed)", 0.50), ("A slow order (the 99th percentile)", 0.99))


def choose_waterfalls(traces: Sequence[Trace], requests: Sequence[RequestRecord]) -> tuple[Waterfall, ...]:
    """Take from the confirmed orders with a whole trace, by their latency, the median and the 99th percentile."""
    trace_of = {order_id: trace for trace in traces if _begins_with_order(trace) and (order_id := _order_id(trace))}
    confirmed = sorted(
        (each for each in requests if each.outcome is OutcomeKind.CONFIRMED and each.order_id in trace_of),
        key=lambda record: record.latency_seconds,
    )
    if not confirmed:
        return ()
    chosen = [(title, confirmed[round(share * (len(confirmed) - 1))]) for title, share in _CHOICES]
    return tuple(_waterfall(title, record, trace_of[record.order_id or ""]) for title, record in chosen)


def _begins_with_order(trace: Trace) -> bool:
    """Leave out the traces of what followed an answer, which tell of the same order."""
    return trace.whole and trace.roots[0].span.name == ORDER_ROOT


def _order_id(trace: Trace) -> str | None:
    """Find the order that a trace was about."""
    found = (node.span.attributes.get(_ORDER_ID) for node in trace.roots[0].walk())
    return next((order_id for order_id in found if isinstance(order_id, str)), None)


def _waterfall(title: str, record: RequestRecord, trace: Trace) -> Waterfall:
    root = trace.roots[0]
    return Waterfall(
        title=title,
        trace_id=trace.trace_id,
        order_id=record.order_id or "",
        outcome=record.outcome.value,
        lines=record.lines,
        latency_seconds=record.latency_seconds,
        duration_seconds=root.span.duration_nanoseconds / _NANOSECONDS,
        rows=tuple(_row(row) for row in flatten(root)),
    )


def _row(row: SpanRow) -> WaterfallRow:
    return WaterfallRow(
        depth=row.depth,
        name=row.span.name,
        kind=row.span.kind.name.lower(),
        component=str(row.span.attributes.get(_CONTEXT, row.span.service)),
        failed=row.span.status.name == "ERROR",
        offset_seconds=row.offset_nanoseconds / _NANOSECONDS,
        duration_seconds=row.duration_nanoseconds / _NANOSECONDS,
        self_seconds=row.self_nanoseconds / _NANOSECONDS,
        bar=row.bar,
        own=row.own,
        span_id=row.span.span_id,
        attributes=row.span.attributes_as_text(),
    )

"""Time from an order's placing and completion to its confirmation, from the spans and their links alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from observability.analysis.quantiles import fewest_for, quantile, quantile_interval
from observability.analysis.spans import Link, Span, SpanStatus
from observability.analysis.trees import Forest, Trace
from observability.report.demo.result import QUANTILES, QuantileFigure, SideEffectFigure

ORDER_ROOT = "POST /orders"
NOTIFIED = "notification.send_confirmation"
_NANOSECONDS = 1e9


@dataclass(frozen=True, slots=True)
class Notified:
    """One confirmation: nanoseconds since the epoch when its order was placed and completed, and when it was sent."""

    placed: int
    completed: int
    sent: int


def notifications(forest: Forest, *, since_unix_seconds: float = 0.0) -> tuple[Notified, ...]:
    """Follow each confirmation that was sent to the span that stored the completion, and that one to the placing.

    Orders placed earlier than `since_unix_seconds` are left out. An order that its request did not complete was
    completed in a trace of its own, which links to the placing's.
    """
    traces = {trace.trace_id: trace for trace in forest.traces}
    return tuple(
        Notified(placed.start_nanoseconds, stored.end_nanoseconds, sent.end_nanoseconds)
        for sent in sent_confirmations(forest)
        for link in sent.links
        for stored in [_span_of(link, traces)]
        for placed in [_placing(link, traces)]
        if stored is not None and placed is not None
        if placed.start_nanoseconds >= since_unix_seconds * _NANOSECONDS
    )


def sent_confirmations(forest: Forest) -> Iterator[Span]:
    """Return the spans of the confirmations that went out; one that could not be sent says why."""
    for trace in forest.traces:
        for root in trace.roots:
            sent = root.span.status is not SpanStatus.ERROR and "error.type" not in root.span.attributes
            if root.span.name == NOTIFIED and sent:
                yield root.span


def effects_of(notified: Sequence[Notified]) -> tuple[SideEffectFigure, ...]:
    """Return the quantiles of both times; nothing when there was no confirmation."""
    if not notified:
        return ()
    return (
        _effect("placed to notified", [each.sent - each.placed for each in notified]),
        _effect("completed to notified", [each.sent - each.completed for each in notified]),
    )


def quantile_figures(seconds: Sequence[float]) -> tuple[QuantileFigure, ...]:
    """Return the usual quantiles of which there are values enough for both bounds of the 95 % interval."""
    ordered = sorted(seconds)
    intervals = [(q, quantile_interval(ordered, q)) for q in QUANTILES if len(ordered) >= fewest_for(q)]
    return tuple(QuantileFigure(q, quantile(ordered, q), each.low, each.high) for q, each in intervals)


def _effect(name: str, nanoseconds: Sequence[int]) -> SideEffectFigure:
    return SideEffectFigure(name, len(nanoseconds), quantile_figures([each / _NANOSECONDS for each in nanoseconds]))


def _span_of(link: Link, traces: Mapping[str, Trace]) -> Span | None:
    trace = traces.get(link.trace_id)
    nodes = (node for root in trace.roots for node in root.walk()) if trace else ()
    return next((node.span for node in nodes if node.span.span_id == link.span_id), None)


def _placing(link: Link, traces: Mapping[str, Trace]) -> Span | None:
    """Return the root of the order's trace: that of the link, or the one that its root links to."""
    trace = traces.get(link.trace_id)
    root = trace.roots[0].span if trace and trace.roots else None
    if root is None or root.name == ORDER_ROOT:
        return root
    origins = (traces.get(origin.trace_id) for origin in root.links)
    roots = (origin.roots[0].span for origin in origins if origin and origin.roots)
    return next((span for span in roots if span.name == ORDER_ROOT), None)

"""Distinct spans by trace: drops repeats, and separates a client span from a server span of the same id."""

from collections.abc import Iterable
from dataclasses import replace

from observability.analysis.spans import Span, SpanKind

_SIDES = {SpanKind.CLIENT, SpanKind.SERVER}
_SERVER_SIDE = "-server"


class SpanCollector:
    """The distinct spans of some files.

    With Zipkin's B3 propagation both sides of a call may have the same span id. The server's side then becomes a child
    of the client's, and the parent of the spans of its service.
    """

    def __init__(self) -> None:
        self.duplicates = 0
        self._by_trace: dict[str, dict[str, Span]] = {}
        self._shared: set[tuple[str, str]] = set()

    def add(self, spans: Iterable[Span]) -> None:
        """Add spans; one whose trace id and span id are known is dropped, and counted."""
        by_trace = self._by_trace
        for span in spans:
            trace = by_trace.get(span.trace_id)
            if trace is None:
                trace = by_trace[span.trace_id] = {}
            known = trace.setdefault(span.span_id, span)
            if known is not span:
                self._repeat(trace, known, span)

    def spans(self) -> tuple[Span, ...]:
        """Return the spans, those of a trace together."""
        for trace_id, span_id in self._shared:
            self._move_children(self._by_trace[trace_id], span_id)
        return tuple(span for trace in self._by_trace.values() for span in trace.values())

    def _repeat(self, trace: dict[str, Span], known: Span, span: Span) -> None:
        if {known.kind, span.kind} != _SIDES:
            self.duplicates += 1
            return
        client, server = (known, span) if known.kind is SpanKind.CLIENT else (span, known)
        apart = replace(server, span_id=server.span_id + _SERVER_SIDE, parent_span_id=client.span_id)
        trace[client.span_id] = client
        if trace.setdefault(apart.span_id, apart) is not apart:
            self.duplicates += 1
        self._shared.add((client.trace_id, client.span_id))

    def _move_children(self, trace: dict[str, Span], span_id: str) -> None:
        server = trace[span_id + _SERVER_SIDE]
        for child in list(trace.values()):
            if child.parent_span_id == span_id and child.service == server.service and child is not server:
                trace[child.span_id] = replace(child, parent_span_id=server.span_id)

"""Bridges to the stock SDK: its form of a span, and its processors and exporters behind our interfaces."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util import BoundedList
from opentelemetry.util.types import AnyValue

from observability.telemetry.sdk.batch_processor import Exported, ExportFailed
from observability.telemetry.sdk.span import RecordingSpan

Item = TypeVar("Item")


def readable(span: RecordingSpan) -> ReadableSpan:
    """Return a span that has ended in the form of the stock SDK."""
    events = [Event(each.name, each.attributes, each.timestamp) for each in span.events]
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.source.resource,
        attributes=with_dropped(span.attributes, span.dropped_attributes),
        events=bounded(events, span.dropped_events),
        links=bounded(span.links, span.dropped_links),
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.source.scope,
    )


def with_dropped(attributes: Mapping[str, AnyValue], dropped: int) -> BoundedAttributes:
    """Return attributes that know how many others were dropped."""
    copy = BoundedAttributes(attributes=attributes)
    copy.dropped = dropped
    return copy


def bounded(items: Sequence[Item], dropped: int) -> Sequence[Item]:
    """Return a list that knows how many other items were dropped."""
    copy: BoundedList[Item] = BoundedList.from_seq(None, items)
    copy.dropped = dropped
    return copy


class StockProcessor:
    """A processor of the stock SDK that takes our spans; it is not told of their start."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor

    def on_end(self, span: RecordingSpan, /) -> None:
        """Pass a span on."""
        self._processor.on_end(readable(span))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flush; return whether that was done in time."""
        return self._processor.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: int = 30_000) -> bool:
        """Shut down; the stock SDK knows no time limit for it."""
        self._processor.shutdown()
        return True


class StockExporter:
    """An exporter of the stock SDK that exports our batches.

    `change` is called with each span before, and `outcome` after an export that succeeded.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        change: Callable[[ReadableSpan], ReadableSpan],
        outcome: Callable[[], Exported] = Exported,
    ) -> None:
        self._exporter = exporter
        self._change = change
        self._outcome = outcome

    def export(self, spans: Sequence[RecordingSpan], *, timeout_seconds: float) -> Exported:
        """Export a batch within the exporter's own time limit. Raises ExportFailed."""
        if self._exporter.export([self._change(readable(span)) for span in spans]) is not SpanExportResult.SUCCESS:
            raise ExportFailed("the exporter has logged the reason")
        return self._outcome()

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._exporter.shutdown()

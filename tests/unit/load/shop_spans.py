"""Spans of one made-up order and its side effects, and the rows that it left in the databases."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from observability.analysis.openmetrics import parse_scrape
from observability.analysis.readers.trace_files import SpansRead
from observability.analysis.spans import Link, Span, SpanKind
from observability.analysis.trees import build_traces
from observability.demo.checks import RecordedRun
from observability.demo.scrapes import ScrapePair
from observability.testbed.side_effects import EffectProgress, ObservedEvent, SideEffects
from tests.unit.load.records import record

ORDER = "e828efbb-08c4-4b23-85aa-ada910d40842"
PLACING, FINISHING, PROJECTING, RECORDING, SENDING, STOCKING = (digit * 32 for digit in "123456")
MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """The observations of a demo with one confirmed order; a test changes a part to see which check fails."""

    spans: Sequence[Span]
    events: Sequence[ObservedEvent]
    progress: EffectProgress
    confirmation_files: int = 1
    turned_away: int = 0
    inside_seconds: float = 0.008

    def without(self, name: str) -> "Run":
        """Return a copy without the spans of a name."""
        return replace(self, spans=[span for span in self.spans if span.name != name])

    def recorded(self, folder: Path) -> RecordedRun:
        """Return it as the checks take it; its log names the root of the order's trace."""
        log = folder / "order.log"
        log.write_text(f'{{"trace_id": "{PLACING}", "span_id": "{"a" * 16}"}}\n')
        page = (
            f"# TYPE otel_sdk_processor_span_processed counter\n"
            f'otel_sdk_processor_span_processed_total{{error_type=""}} {len(self.spans)}'
            f' # {{trace_id="{PLACING}"}} 1\n'
            f'# TYPE otel_sdk_exporter_span_exported counter\notel_sdk_exporter_span_exported_total{{error_type=""}}'
            f" {len(self.spans)}\n"
            f"# TYPE shop_admission_decisions counter\n"
            f'shop_admission_decisions_total{{stage="http",decision="admitted"}} 1\n'
            f'shop_admission_decisions_total{{stage="http",decision="limit"}} {self.turned_away}\n'
        )
        duration = (
            f"# TYPE http_server_request_duration_seconds histogram\n"
            f'http_server_request_duration_seconds_bucket{{context="edge",le="+Inf"}} {1 + self.turned_away}\n'
            f'http_server_request_duration_seconds_count{{context="edge"}} {1 + self.turned_away}\n'
            f'http_server_request_duration_seconds_sum{{context="edge"}} {self.inside_seconds}\n'
        )
        before = {"monolith": parse_scrape(f"{page}# EOF\n")}
        after = {"monolith": parse_scrape(f"{page}{duration}# EOF\n")}
        return RecordedRun(
            read=SpansRead(tuple(self.spans), duplicate_spans=0),
            forest=build_traces(self.spans),
            scrapes=ScrapePair(before, after),
            log_paths=[log],
            requests=[record()] * (1 + self.turned_away),
            stocking_calls=1,
            aftermath=SideEffects(self.progress, 0.4, tuple(self.events)),
            confirmation_files=self.confirmation_files,
        )


def span(trace: str, number: str, name: str, *, parent: str = "", end: int = 1, links: Sequence[Span] = ()) -> Span:
    """Return a span from 0 ms to `end` ms; its id is the hex digit `number` 16 times, its parent's likewise."""
    return Span(
        trace_id=trace,
        span_id=number * 16,
        parent_span_id=parent * 16,
        name=name,
        kind=SpanKind.INTERNAL,
        service="shop",
        start_nanoseconds=0,
        end_nanoseconds=end * MILLISECOND,
        links=tuple(Link(each.trace_id, each.span_id) for each in links),
    )


def processed(trace: str, number: str, consumer: str, events: Sequence[Span]) -> Span:
    """Return the span of a batch that a consumer processed."""
    attributes: dict[str, str | int] = {
        "messaging.consumer.group.name": consumer,
        "messaging.batch.message_count": len(events),
    }
    taken = span(trace, number, "process shop.orders", links=events)
    return replace(taken, kind=SpanKind.CONSUMER, attributes=attributes)


def one_order(*, finished_by_its_request: bool = True) -> Run:
    """Return an order that is placed at 0 ms, completed at 20 ms by its request or the saga worker, mailed at 50 ms."""
    root = replace(span(PLACING, "a", "POST /orders", end=30), attributes={"shop.order.id": ORDER})
    placed = replace(span(PLACING, "b", "send shop.orders", parent="a", end=10), kind=SpanKind.PRODUCER)
    finishing = span(FINISHING, "c", "order.finish_order", end=25, links=[placed])
    completing = root if finished_by_its_request else finishing
    completed = replace(
        span(completing.trace_id, "d", "send shop.orders", parent=completing.span_id[0], end=20),
        kind=SpanKind.PRODUCER,
    )
    events = [placed, completed]
    spans = [
        root,
        *events,
        *([] if finished_by_its_request else [finishing]),
        processed(PROJECTING, "e", "order_summaries", events),
        processed(RECORDING, "f", "notification", events),
        replace(
            span(SENDING, "1", "notification.send_confirmation", end=50, links=[completed]),
            attributes={"shop.order.id": ORDER},
        ),
        span(STOCKING, "2", "shop.inventory.v1.InventoryService/Restock"),
    ]
    return Run(
        spans,
        [ObservedEvent("order.placed", traceparent(placed)), ObservedEvent("order.completed", traceparent(completed))],
        EffectProgress(unfinished=0, unpublished=0, events=2, projected=2, completed=1, notified=1),
    )


def traceparent(stored: Span) -> str:
    """As the event carries it."""
    return f"00-{stored.trace_id}-{stored.span_id}"

"""Checks of a demo's traces and metrics: they are complete, agree, and every reference to a trace resolves."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from observability.analysis.integrity import Integrity as TraceCounts
from observability.analysis.integrity import check_integrity, unresolved
from observability.analysis.readers.trace_files import SpansRead
from observability.analysis.spans import Link, Span, SpanKind, SpanStatus
from observability.analysis.trees import Forest
from observability.demo.notification_latency import NOTIFIED, ORDER_ROOT, sent_confirmations
from observability.demo.scrapes import ScrapePair
from observability.load.recorder import RequestRecord
from observability.report.demo.result import IntegrityCheck, TraceIntegrity
from observability.testbed.side_effects import SideEffects

_STOCKING_ROOT = "shop.inventory.v1.InventoryService/Restock"
# Asynchronous work has a trace of its own, which links to the trace that caused it.
_BEHIND_THE_ANSWERS = ("process shop.orders", NOTIFIED, "order.finish_order")
_CONSUMERS = ("notification", "order_summaries")
_COMPLETED = "order.completed"
# The only failure after which the client knows that the request did not arrive.
_NEVER_ARRIVED = "CONNECTION_FAILED"
_DECISIONS = "shop_admission_decisions_total"
_SERVER_DURATION = "http_server_request_duration_seconds"
_PROCESSED = "otel_sdk_processor_span_processed_total"
_EXPORTED = "otel_sdk_exporter_span_exported_total"


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """The recorded data of a demo: spans and traces, metrics, logs, and the requests of the clients."""

    read: SpansRead
    forest: Forest
    scrapes: ScrapePair
    log_paths: Sequence[Path]
    requests: Sequence[RequestRecord]
    stocking_calls: int
    aftermath: SideEffects
    confirmation_files: int


def check_traces(recorded: RecordedRun) -> TraceIntegrity:
    """Return the result of every check."""
    counts = check_integrity(recorded.forest)
    checks = (
        _orders_check(recorded, counts),
        _outside_check(recorded),
        _stocking_check(recorded, counts),
        _trees_check(recorded, counts),
        _spans_check(recorded),
        _links_check(recorded),
        _settled_check(recorded),
        _events_check(recorded),
        _confirmations_check(recorded),
        _exemplars_check(recorded),
        _logs_check(recorded),
    )
    return TraceIntegrity(spans=counts.spans, traces=counts.traces_by_root, checks=checks)


def log_references(paths: Iterable[Path]) -> Iterator[str]:
    """Yield trace/span of each JSON log line that names them; other programs' lines are skipped. Raises OSError."""
    for path in paths:
        for line in path.read_bytes().splitlines():
            if b'"trace_id"' not in line:
                continue
            try:
                entry = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            yield f"{entry.get('trace_id')}/{entry.get('span_id')}"


def _orders_check(recorded: RecordedRun, counts: TraceCounts) -> IntegrityCheck:
    """Check that every order at the edge has a trace; rejected ones have none, and the edge counts them."""
    reached = sum(record.reason != _NEVER_ARRIVED for record in recorded.requests)
    at_the_door = recorded.scrapes.total_at_end(_DECISIONS, stage="http")
    refused = at_the_door - recorded.scrapes.total_at_end(_DECISIONS, stage="http", decision="admitted")
    traces = counts.traces_by_root.get(ORDER_ROOT, 0)
    but = f", {refused:,} of which were rejected at admission" if refused else ""
    sentence = f"{reached:,} orders reached the edge{but}; {traces:,} traces begin with {ORDER_ROOT}"
    return IntegrityCheck(sentence, traces == reached - refused)


def _outside_check(recorded: RecordedRun) -> IntegrityCheck:
    """Compare the clients' latency with the edge's: a wait between the two is in no span."""
    answered = [record for record in recorded.requests if record.status is not None]
    measured = recorded.scrapes.histogram(_SERVER_DURATION)
    count = sum(delta.count for delta in measured)
    if not answered or not count:
        return IntegrityCheck("no order was answered, so that client and edge have no times to compare", True)
    waited = sum(record.done_seconds - record.sent_seconds for record in answered) / len(answered)
    inside = sum(delta.sum for delta in measured) / count
    sentence = (
        f"an order took {1_000 * waited:,.1f} ms on average at the client, and {1_000 * inside:,.1f} ms at the edge;"
        f" the {1_000 * (waited - inside):,.1f} ms between them are in no span"
    )
    others = count != len(answered)  # an abandoned request, or another client's
    return IntegrityCheck(sentence, waited >= inside or others)


def _stocking_check(recorded: RecordedRun, counts: TraceCounts) -> IntegrityCheck:
    calls, traces = recorded.stocking_calls, counts.traces_by_root.get(_STOCKING_ROOT, 0)
    behind = sum(counts.traces_by_root.get(name, 0) for name in _BEHIND_THE_ANSWERS)
    others = counts.traces - traces - counts.traces_by_root.get(ORDER_ROOT, 0) - behind
    sentence = (
        f"{calls:,} calls stocked the shop; {traces:,} traces begin with Restock, {behind:,} with what followed the"
        f" answers, and {others:,} with anything else"
    )
    return IntegrityCheck(sentence, calls == traces and not others)


def _trees_check(recorded: RecordedRun, counts: TraceCounts) -> IntegrityCheck:
    sentence = (
        f"{counts.whole:,} of {counts.traces:,} traces are one tree with one root; {counts.orphans:,} orphans,"
        f" {recorded.read.duplicate_spans:,} spans written twice, {recorded.read.unread_parts:,} lines unreadable"
    )
    unwell = counts.orphans + recorded.read.duplicate_spans + recorded.read.unread_parts
    return IntegrityCheck(sentence, counts.whole == counts.traces and not unwell)


def _spans_check(recorded: RecordedRun) -> IntegrityCheck:
    scrapes, written = recorded.scrapes, len(recorded.read.spans)
    ended = scrapes.total_at_end(_PROCESSED)
    dropped = scrapes.total_at_end(_PROCESSED, error_type="queue_full")
    lost = scrapes.total_at_end(_EXPORTED) - scrapes.total_at_end(_EXPORTED, error_type="")
    sentence = (
        f"{ended:,} spans ended, by the services' own count, and {written:,} were written; {dropped:,} were dropped,"
        f" {lost:,} lost in export"
    )
    return IntegrityCheck(sentence, ended == written and not dropped and not lost)


def _links_check(recorded: RecordedRun) -> IntegrityCheck:
    links = [link for span in recorded.read.spans for link in span.links]
    missing = set(links) - {Link(span.trace_id, span.span_id) for span in recorded.read.spans}
    sentence = f"{len(links):,} links between spans; {len(missing):,} name a span that was not written"
    return IntegrityCheck(sentence, bool(links) and not missing)


def _settled_check(recorded: RecordedRun) -> IntegrityCheck:
    progress, seconds = recorded.aftermath.progress, recorded.aftermath.waited_seconds
    if progress.settled:
        return IntegrityCheck(
            f"{seconds:.1f} s after the last answer all asynchronous work of the orders had finished", True
        )
    sentence = (
        f"{seconds:.0f} s after the last answer {progress.unfinished:,} orders had no final state,"
        f" {progress.unpublished:,} events were not published, {progress.events - progress.projected:,} not in the"
        f" read model, and {progress.completed - progress.notified:,} customers not notified"
    )
    return IntegrityCheck(sentence, False)


def _events_check(recorded: RecordedRun) -> IntegrityCheck:
    """Compare the stored events with the spans that stored them and the spans that consumed them."""
    stored = Counter(event.traceparent for event in recorded.aftermath.events)
    senders = {_traceparent(span) for span in recorded.read.spans if span.kind is SpanKind.PRODUCER}
    unseen = sum(count for traceparent, count in stored.items() if traceparent not in senders)
    consumed = _consumed(recorded.read.spans)
    taken = ", ".join(f"{name} consumed {count:,}" for name, count in sorted(consumed.items()))
    sentence = f"{stored.total():,} events are stored, {unseen:,} without a span; {taken or 'none was consumed'}"
    complete = consumed == dict.fromkeys(_CONSUMERS, stored.total())
    return IntegrityCheck(sentence, complete and not unseen)


def _confirmations_check(recorded: RecordedRun) -> IntegrityCheck:
    completed = Counter(event.traceparent for event in recorded.aftermath.events if event.type == _COMPLETED)
    sent = sent_confirmations(recorded.forest)
    notified = Counter(_traceparent(link) for span in sent for link in span.links)
    sentence = (
        f"{completed.total():,} orders were completed; {notified.total():,} confirmations were sent,"
        f" {(completed & notified).total():,} of them linked to a completion of their own;"
        f" {recorded.confirmation_files:,} are in the folder"
    )
    return IntegrityCheck(sentence, completed == notified and recorded.confirmation_files == completed.total())


def _traceparent(span: Span | Link) -> str:
    return f"00-{span.trace_id}-{span.span_id}"


def _consumed(spans: Iterable[Span]) -> Counter[str]:
    """Count the messages of the batches that were processed to their end, by consumer."""
    counts: Counter[str] = Counter()
    for span in spans:
        size = span.attributes.get("messaging.batch.message_count")
        if span.kind is SpanKind.CONSUMER and span.status is not SpanStatus.ERROR and isinstance(size, int):
            counts[str(span.attributes.get("messaging.consumer.group.name"))] += size
    return counts


def _exemplars_check(recorded: RecordedRun) -> IntegrityCheck:
    references = [each.labels["trace_id"] for each in recorded.scrapes.exemplars() if "trace_id" in each.labels]
    missing = unresolved(references, (trace.trace_id for trace in recorded.forest.traces))
    sentence = f"{len(references):,} exemplars on /metrics; {len(missing):,} name a trace that was not written"
    return IntegrityCheck(sentence, bool(references) and not missing)


def _logs_check(recorded: RecordedRun) -> IntegrityCheck:
    references = list(log_references(recorded.log_paths))
    missing = unresolved(references, (f"{span.trace_id}/{span.span_id}" for span in recorded.read.spans))
    sentence = (
        f"{len(references):,} log lines with trace and span id; {len(missing):,} name a span that was not written"
    )
    return IntegrityCheck(sentence, bool(references) and not missing)

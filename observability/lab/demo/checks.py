"""Are the traces of a demo complete, and does everything that points at one lead somewhere?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from observability.analysis.integrity import Integrity as TraceCounts
from observability.analysis.integrity import check_integrity, unresolved
from observability.analysis.otlp import SpansRead
from observability.analysis.trees import Forest
from observability.lab.demo.scrapes import ScrapePair
from observability.lab.report.result import Check, Integrity
from observability.lab.run import RequestRecord

_ORDER_ROOT = "POST /orders"
_STOCKING_ROOT = "shop.inventory.v1.InventoryService/Restock"
# The only failure of which the sender knows that nothing of the request arrived.
_NEVER_ARRIVED = "CONNECTION_FAILED"
_PROCESSED = "otel_sdk_processor_span_processed_total"
_EXPORTED = "otel_sdk_exporter_span_exported_total"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a demo left behind: spans and their traces, metrics, logs, and what was asked of the platform."""

    read: SpansRead
    forest: Forest
    scrapes: ScrapePair
    log_paths: Sequence[Path]
    requests: Sequence[RequestRecord]
    stocking_calls: int


def check_traces(recorded: Recorded) -> Integrity:
    """Count everything and say of each fact whether it holds."""
    counts = check_integrity(recorded.forest)
    checks = (
        _orders_check(recorded, counts),
        _stocking_check(recorded, counts),
        _trees_check(recorded, counts),
        _spans_check(recorded),
        _exemplars_check(recorded),
        _logs_check(recorded),
    )
    return Integrity(spans=counts.spans, traces=counts.traces_by_root, checks=checks)


def log_references(paths: Iterable[Path]) -> Iterator[str]:
    """Give trace/span of each JSON log line that names them; other lines are somebody else's. Raises OSError."""
    for path in paths:
        for line in path.read_bytes().splitlines():
            if b'"trace_id"' not in line:
                continue
            try:
                entry = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            yield f"{entry.get('trace_id')}/{entry.get('span_id')}"


def _orders_check(recorded: Recorded, counts: TraceCounts) -> Check:
    accepted = sum(record.reason != _NEVER_ARRIVED for record in recorded.requests)
    traces = counts.traces_by_root.get(_ORDER_ROOT, 0)
    sentence = f"{accepted:,} orders reached the edge; {traces:,} traces begin with {_ORDER_ROOT}"
    return Check(sentence, traces == accepted)


def _stocking_check(recorded: Recorded, counts: TraceCounts) -> Check:
    calls, traces = recorded.stocking_calls, counts.traces_by_root.get(_STOCKING_ROOT, 0)
    others = counts.traces - traces - counts.traces_by_root.get(_ORDER_ROOT, 0)
    sentence = (
        f"{calls:,} calls stocked the shop; {traces:,} traces begin with Restock, and {others:,} with anything else"
    )
    return Check(sentence, calls == traces and not others)


def _trees_check(recorded: Recorded, counts: TraceCounts) -> Check:
    sentence = (
        f"{counts.whole:,} of {counts.traces:,} traces are one tree with one root; {counts.orphans:,} orphans,"
        f" {recorded.read.duplicate_spans:,} spans written twice, {recorded.read.malformed_lines:,} lines unreadable"
    )
    unwell = counts.orphans + recorded.read.duplicate_spans + recorded.read.malformed_lines
    return Check(sentence, counts.whole == counts.traces and not unwell)


def _spans_check(recorded: Recorded) -> Check:
    scrapes, written = recorded.scrapes, len(recorded.read.spans)
    ended = scrapes.total_at_end(_PROCESSED)
    dropped = scrapes.total_at_end(_PROCESSED, error_type="queue_full")
    lost = scrapes.total_at_end(_EXPORTED) - scrapes.total_at_end(_EXPORTED, error_type="")
    sentence = (
        f"{ended:,} spans ended, by the services' own count, and {written:,} were written; {dropped:,} were dropped,"
        f" {lost:,} lost in export"
    )
    return Check(sentence, ended == written and not dropped and not lost)


def _exemplars_check(recorded: Recorded) -> Check:
    references = [each.labels["trace_id"] for each in recorded.scrapes.exemplars() if "trace_id" in each.labels]
    missing = unresolved(references, (trace.trace_id for trace in recorded.forest.traces))
    sentence = f"{len(references):,} exemplars on /metrics; {len(missing):,} name a trace that was not written"
    return Check(sentence, bool(references) and not missing)


def _logs_check(recorded: Recorded) -> Check:
    references = list(log_references(recorded.log_paths))
    missing = unresolved(references, (f"{span.trace_id}/{span.span_id}" for span in recorded.read.spans))
    sentence = (
        f"{len(references):,} log lines with trace and span id; {len(missing):,} name a span that was not written"
    )
    return Check(sentence, bool(references) and not missing)

"""Result of a block of an experiment: which orders count, and which conditions invalidate it."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import orjson
import pytest

from observability.analysis.spans import Link
from observability.experiments.experiment import Demand, Metric
from observability.experiments.runner.block import Block, Schedule, block_of, consumed_between
from observability.load.generator_process import Load
from observability.load.recorder import RequestRecord
from observability.load.validity_checks import Gate, GateStatus
from tests.unit.load.records import record

BEHIND = Gate("backlog", GateStatus.FAILED, "9 early, 90 at the end")
LATE = Gate("send lag", GateStatus.FAILED, "p99 9 ms, limit 3 ms")
SOLD, KEPT = record(intended=3.0), record(intended=4.0, outcome="pending")
TOO_LATE = record(intended=5.0, latency=2.5)
FAILED = replace(record(intended=6.0, outcome="transport"), status=None)
ALL = (record(intended=1.0), SOLD, SOLD, KEPT, TOO_LATE)


def ran(
    requests: Sequence[RequestRecord],
    *,
    gates: Sequence[Gate] = (),
    metric: Metric = Metric.LATENCY,
    respond_async: bool = False,
) -> Block:
    """Return a block of ten seconds after two of warm-up; what failed a gate says so as the generator does."""
    failed = tuple(f"{gate.name}: {gate.sentence}" for gate in gates)
    run = SimpleNamespace(requests=requests, gates=gates, invalid_because=failed, elapsed_seconds=12.0)
    demand = Demand(utilisation=0.5, respond_async=respond_async)
    schedule = Schedule(rate_per_second=1, warm_up_seconds=2, duration_seconds=10, seed=1, demand=demand)
    return block_of(cast("Load", run), schedule, {}, metric=metric)


def test_orders_due_in_the_warm_up_do_not_count() -> None:
    block = ran(ALL)
    assert (block.orders, len(block.latencies_seconds)) == (5, 4)


@pytest.mark.parametrize(("respond_async", "good"), [(False, 2), (True, 3)])
def test_orders_sold_in_time_are_good_and_pending_ones_if_async(respond_async: bool, good: int) -> None:
    block = ran(ALL, respond_async=respond_async)
    assert (block.good_orders, block.counted_seconds) == (good, 10.0)
    assert block.answers == {"sold": 2, "pending": 1, "sold too late": 1}


def test_latencies_with_failures_or_backlog_are_invalid() -> None:
    block = ran([SOLD] * 40 + [FAILED], gates=[BEHIND])
    assert block.invalid_because == ("backlog: 9 early, 90 at the end", "1 of 41 orders failed")


def test_a_backlog_does_not_invalidate_goodput() -> None:
    assert not ran([SOLD, FAILED], gates=[BEHIND], metric=Metric.GOODPUT).invalid_because


def test_a_late_generator_invalidates_latencies_first() -> None:
    """Ten milliseconds are much of an answer that takes as long, and little of two seconds."""
    late, very_late = ([record(intended=3.0, lag=lag)] for lag in (0.01, 0.03))
    assert ran(late, gates=[LATE]).invalid_because
    assert not ran(late, gates=[LATE], metric=Metric.GOODPUT).invalid_because
    [why] = ran(very_late, gates=[LATE, BEHIND], metric=Metric.GOODPUT).invalid_because
    assert why == "send lag: p99 30.00 ms, limit 20.00 ms"


def test_a_generator_without_room_makes_either_invalid() -> None:
    busy = Gate("generator CPU", GateStatus.FAILED, "90% of its core, limit 70%")
    for metric in Metric:
        assert ran([SOLD], gates=[busy], metric=metric).invalid_because == (f"{busy.name}: {busy.sentence}",)


def test_messages_consumed_in_the_measured_time_are_counted_by_their_links(tmp_path: Path) -> None:
    sent = [Link(f"{number:032x}", f"{number:016x}") for number in range(3)]
    spans = (
        consumed("early", 9.0, sent[:1]),
        consumed("one", 11.0, sent[:1]),
        consumed("batch", 19.9, sent[:3]),
        consumed("late", 20.1, sent[:1]),
        {**consumed("other", 12.0, sent[:1]), "name": "something else"},
    )
    document = {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}
    (tmp_path / "traces.jsonl").write_bytes(orjson.dumps(document))
    assert consumed_between(tmp_path, "process things", 10.0, 20.0) == 4


def consumed(name: str, end_seconds: float, links: Sequence[Link]) -> dict[str, object]:
    """Return a consumer's span in OTLP's JSON."""
    return {
        "traceId": sha256(name.encode()).hexdigest()[:32],
        "spanId": sha256(name.encode()).hexdigest()[:16],
        "name": "process things",
        "kind": 5,
        "startTimeUnixNano": str(int(end_seconds * 1e9) - 1_000),
        "endTimeUnixNano": str(int(end_seconds * 1e9)),
        "links": [{"traceId": each.trace_id, "spanId": each.span_id} for each in links],
    }

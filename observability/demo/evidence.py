"""Result of a demo, computed from the spans, scrapes and request records of its run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from observability.analysis.readers.trace_files import read_spans
from observability.analysis.trees import build_traces
from observability.demo.checks import RecordedRun, check_traces
from observability.demo.notification_latency import effects_of, notifications, quantile_figures
from observability.demo.options import DemoError, DemoOptions
from observability.demo.red import red_tables
from observability.demo.scrapes import ScrapePair
from observability.demo.waterfalls import choose_waterfalls
from observability.load.generator_process import Load
from observability.load.judgement import OfferedLoad, count_orders, judge
from observability.load.outcomes import OutcomeKind
from observability.load.recorder import RequestRecord
from observability.report.demo.result import (
    DemoResult,
    GateFigure,
    OrderFigures,
    Phases,
    Points,
)
from observability.testbed.environment import describe_host_use
from observability.testbed.side_effects import SideEffects

# PostgreSQL, NATS and Valkey write no JSON, and the receiver's own log knows no traces.
_LOGS_WITHOUT_TRACES = frozenset({"postgres", "nats-server", "valkey-server", "receiver"})


@dataclass(frozen=True, slots=True)
class DemoObservation:
    """The data recorded while the platform ran, and the paths of its files.

    `measuring` are the orders of the capacity measurement before the load; `logs` are paths by process.
    """

    run_id: str
    rate_per_second: float
    capacity_per_second: float
    load: Load
    measuring: Sequence[RequestRecord]
    scrapes: ScrapePair
    aftermath: SideEffects
    stocking_calls: int
    expected_rejections: int
    environment: Mapping[str, str]
    traces_directory: Path
    notifications_directory: Path
    logs: Mapping[str, Path]


def make_result(options: DemoOptions, observation: DemoObservation, phases: Phases) -> DemoResult:
    """Read traces and logs, after everything has stopped, and put all figures together; raises DemoError."""
    load = observation.load
    try:
        recorded = _read(observation)
        integrity = check_traces(recorded)
    except OSError as error:
        raise DemoError(f"cannot read what the run wrote: {error}") from error
    return DemoResult(
        run_id=observation.run_id,
        started_at=datetime.fromtimestamp(round(load.started_at_unix_seconds), UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        mode=options.mode,
        bus=options.bus,
        rate_per_second=observation.rate_per_second,
        capacity_per_second=observation.capacity_per_second,
        duration_seconds=options.duration_seconds,
        seed=options.seed,
        environment={**observation.environment, **describe_host_use(load.host)},
        phases=phases,
        orders=_orders(observation),
        quantiles=quantile_figures(
            [record.latency_seconds for record in load.requests if record.outcome is OutcomeKind.CONFIRMED]
        ),
        effects=effects_of(notifications(recorded.forest, since_unix_seconds=load.started_at_unix_seconds)),
        points=_points(load.requests),
        invalid_because=load.invalid_because,
        gates=tuple(GateFigure(gate.name, gate.status.value, gate.sentence) for gate in load.gates),
        tables=red_tables(observation.scrapes, elapsed_seconds=load.elapsed_seconds),
        waterfalls=choose_waterfalls(recorded.forest.traces, load.requests),
        integrity=integrity,
    )


def _read(observation: DemoObservation) -> RecordedRun:
    read = read_spans(sorted(observation.traces_directory.glob("*.jsonl")))
    return RecordedRun(
        read=read,
        forest=build_traces(read.spans),
        scrapes=observation.scrapes,
        log_paths=[path for name, path in observation.logs.items() if name not in _LOGS_WITHOUT_TRACES],
        requests=(*observation.measuring, *observation.load.requests),
        stocking_calls=observation.stocking_calls,
        aftermath=observation.aftermath,
        confirmation_files=sum(1 for _ in observation.notifications_directory.glob("*.eml")),
    )


def _orders(observation: DemoObservation) -> OrderFigures:
    load, summary = observation.load, observation.load.summary
    offered = OfferedLoad(
        rate_per_second=observation.rate_per_second, capacity_per_second=observation.capacity_per_second
    )
    return OrderFigures(
        scheduled=summary.scheduled,
        sent=summary.sent,
        confirmed=summary.confirmed,
        pending=summary.pending,
        rejected=summary.rejected_by_reason,
        errors=summary.errors_by_reason,
        unanswered=summary.transport_errors_by_reason,
        expected_rejections=observation.expected_rejections,
        throughput_per_second=summary.throughput_per_second,
        counted=count_orders(summary),
        judged=judge(summary, load.host, offered, elapsed_seconds=load.elapsed_seconds),
    )


def _points(requests: tuple[RequestRecord, ...]) -> Points:
    """Return the orders as they were due; microseconds are enough for a plot."""
    ordered = sorted(requests, key=lambda record: record.index)
    return Points(
        at_seconds=tuple(round(record.intended_seconds, 6) for record in ordered),
        latency_seconds=tuple(round(record.latency_seconds, 6) for record in ordered),
        outcome=tuple(record.outcome.value for record in ordered),
    )

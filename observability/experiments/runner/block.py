"""Block: one load run on newly started processes; the two blocks of a pair (before, after) share a schedule."""

import secrets
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path

from observability.analysis.readers.trace_files import read_spans
from observability.experiments.experiment import Demand, Metric, Variant
from observability.experiments.runner.blinding import keep
from observability.experiments.runner.errors import TrialError
from observability.experiments.runner.recorder import observing
from observability.experiments.runner.testbed import Serving, Testbed
from observability.load.generator import GeneratorTask
from observability.load.generator_process import Load, run_load
from observability.load.goodput import DEADLINE_SECONDS, answer_of, is_good
from observability.load.options import LoadOptions
from observability.load.recorder import OnProgress, RequestRecord
from observability.load.result import STOPPED_EARLY
from observability.load.validity_checks import generator_failures, send_lag_gate
from observability.testbed.process_metrics import open_processes
from observability.testbed.side_effects import wait_for_effects
from services.local.platform.plan import DATABASES

# Failed orders take another path through the code, so their latencies do not compare.
MOST_FAILED = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The load of a block; orders that are due in the first `warm_up_seconds` are sent but not measured."""

    rate_per_second: float
    warm_up_seconds: float
    duration_seconds: float
    seed: int
    demand: Demand

    @property
    def whole_seconds(self) -> float:
        """The duration of the warm-up and the measurement."""
        return self.warm_up_seconds + self.duration_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The result of a block.

    latencies_seconds: of each measured order, from when it was due.
    unanswered: measured orders without an answer or with a server error.
    invalid_because: reasons why the block is invalid, else empty.
    cpu_seconds: by process.
    orders: all orders that were sent, including the warm-up's.
    own_seconds: median duration of the span of a wrong optimisation, else None.
    good_orders: measured orders with a useful answer; None in files of earlier versions, as the next two.
    counted_seconds: duration of the measurement.
    answers: number of measured orders by outcome.
    """

    latencies_seconds: tuple[float, ...]
    unanswered: int
    invalid_because: tuple[str, ...]
    cpu_seconds: dict[str, float]
    elapsed_seconds: float
    orders: int
    own_seconds: float | None = None
    good_orders: int | None = None
    counted_seconds: float | None = None
    answers: Mapping[str, int] = field(default_factory=dict)

    @property
    def utilisation(self) -> float:
        """The utilisation of the platform's core."""
        return sum(self.cpu_seconds.values()) / self.elapsed_seconds

    @property
    def cpu_seconds_an_order(self) -> float:
        """The processor time of all processes per order, including their idle work."""
        return sum(self.cpu_seconds.values()) / self.orders


async def run_block(
    testbed: Testbed,
    variant: Variant,
    schedule: Schedule,
    *,
    observation: Path | None = None,
    own_time: str | None = None,
    metric: Metric = Metric.LATENCY,
    consumer: str | None = None,
    on_progress: OnProgress,
) -> Block:
    """Run a block, and write what the diagnosis may read to `observation`. Raises TrialError, LoadError, LocalError.

    Every block is observed: observation costs some processor time, and a prediction from an observed block must be
    compared with observed blocks. `own_time` names the span whose duration is measured, `consumer` the one
    whose end makes an order useful; no answer waits for that, so failed orders make such a block invalid.
    """
    began_seconds = time.time()
    async with testbed.serving(variant) as serving:
        with tempfile.TemporaryDirectory(dir=testbed.folder) as scratch:
            async with observing_into(observation or Path(scratch) / "observed", serving):
                run, cpu_seconds = await load(serving, schedule, scratch=Path(scratch), on_progress=on_progress)
        if own_time is not None:
            await wait_for_effects(serving.databases)
    own = own_seconds(serving.traces, own_time, since_seconds=began_seconds)
    judged_by = metric if consumer is None else Metric.LATENCY
    block = block_of(run, schedule, cpu_seconds, own_seconds=own, metric=judged_by)
    from_seconds = run.started_at_unix_seconds + schedule.warm_up_seconds
    if consumer is not None:
        consumed = consumed_between(serving.traces, consumer, from_seconds, from_seconds + schedule.duration_seconds)
        block = replace(block, good_orders=consumed)
    if observation is not None:
        keep(
            serving.traces,
            observation,
            counted_of(run, schedule),
            from_seconds=from_seconds,
            until_seconds=from_seconds + schedule.duration_seconds,
            rate_per_second=schedule.rate_per_second,
            respond_async=schedule.demand.respond_async,
        )
    return block


async def load(
    serving: Serving, schedule: Schedule, *, scratch: Path, on_progress: OnProgress
) -> tuple[Load, dict[str, float]]:
    """Send the schedule; return the load's result and the processor seconds of each process."""
    task = GeneratorTask(
        options=LoadOptions(
            target=serving.edge,
            seed=schedule.seed,
            run_nonce=secrets.token_hex(4),
            rate_per_second=schedule.rate_per_second,
            duration_seconds=schedule.whole_seconds,
            admin_address=serving.edge_admin,
            service_pids=dict(serving.pids),
            cpu=serving.generator_cpu,
            respond_async=schedule.demand.respond_async,
        ),
        rate_per_second=schedule.rate_per_second,
        duration_seconds=schedule.whole_seconds,
        result_path=scratch / "load.json",
        lines=schedule.demand.lines,
        surge=schedule.demand.surge,
        # A prediction from one seed's arrivals is compared with the arrivals of others.
        counted=True,
        looked_at=schedule.demand.looked_at,
        hot_customers=schedule.demand.hot_customers,
        hot_share=schedule.demand.hot_share,
    )
    processes = open_processes(serving.pids, serving.postgres_pids)
    before = {name: process.use().cpu_seconds for name, process in processes.items()}
    run = await run_load(task, log_path=scratch / "load.log", on_progress=on_progress)
    return run, {name: process.use().cpu_seconds - before[name] for name, process in processes.items()}


def block_of(
    run: Load,
    schedule: Schedule,
    cpu_seconds: dict[str, float],
    *,
    own_seconds: float | None = None,
    metric: Metric = Metric.LATENCY,
) -> Block:
    """Return the result of a block from the orders that were due after the warm-up.

    For goodput the platform may fail orders and fall behind; only the generator's own failures make the block invalid.
    """
    counted = counted_of(run, schedule)
    unanswered = sum(each.status is None or each.status >= HTTPStatus.INTERNAL_SERVER_ERROR for each in counted)
    failed = (f"{unanswered} of {len(counted)} orders failed",) if unanswered > MOST_FAILED * len(counted) else ()
    return Block(
        latencies_seconds=tuple(each.latency_seconds for each in counted),
        unanswered=unanswered,
        invalid_because=of_the_generator(run) if metric is Metric.GOODPUT else (*run.invalid_because, *failed),
        cpu_seconds=cpu_seconds,
        elapsed_seconds=run.elapsed_seconds,
        own_seconds=own_seconds,
        orders=len(run.requests),
        good_orders=sum(is_good(each, respond_async=schedule.demand.respond_async) for each in counted),
        counted_seconds=schedule.duration_seconds,
        answers=dict(Counter(map(answer_of, counted))),
    )


def of_the_generator(run: Load) -> tuple[str, ...]:
    """Return the reasons why the generator was the limit; its send lag is compared with the answers' deadline."""
    lag = send_lag_gate(run.requests, deadline_seconds=DEADLINE_SECONDS)
    others = (gate for gate in run.gates if gate.name != lag.name)
    stopped = tuple(why for why in run.invalid_because if why == STOPPED_EARLY)
    return stopped + generator_failures((lag, *others))


def counted_of(run: Load, schedule: Schedule) -> list[RequestRecord]:
    """Return the orders that were due after the warm-up, in that order."""
    return [each for each in run.requests if each.intended_seconds >= schedule.warm_up_seconds]


def own_seconds(traces: Path, own_time: str | None, *, since_seconds: float) -> float | None:
    """Return the median duration of the spans of this name since then, None without a name. Raises TrialError."""
    if own_time is None:
        return None
    spans = read_spans(sorted(traces.glob("traces*.jsonl"))).spans
    durations = [
        span.duration_nanoseconds / 1e9
        for span in spans
        if span.name == own_time and span.start_nanoseconds >= since_seconds * 1e9
    ]
    if not durations:
        raise TrialError(f"no span {own_time!r} was recorded: correct own_time of the experiment")
    return statistics.median(durations)


def consumed_between(traces: Path, consumer: str, from_seconds: float, until_seconds: float) -> int:
    """Return how many messages spans of this name had processed in a time: those that each links to."""
    spans = read_spans(sorted(traces.glob("traces*.jsonl"))).spans
    return sum(
        len(span.links)
        for span in spans
        if span.name == consumer and from_seconds <= span.end_nanoseconds / 1e9 < until_seconds
    )


@asynccontextmanager
async def observing_into(observation: Path, serving: Serving) -> AsyncIterator[None]:
    """Record what the diagnosis may read."""
    async with observing(
        folder=observation,
        admin=serving.admin,
        admin_dsn=serving.admin_dsn,
        databases=DATABASES,
        pids=serving.pids,
        postgres_pids=serving.postgres_pids,
        limits=serving.limits,
        cache_url=serving.cache_url,
    ):
        yield

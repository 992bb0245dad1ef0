"""Runs a load plan in one event loop, pinned to one core, from the first order to the result."""

import asyncio
import functools
import gc
import math
import resource
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import uvloop

from observability.load import closed_loop, open_loop
from observability.load.client import open_client
from observability.load.errors import LoadError, LoadUsageError
from observability.load.host_usage import HostUse, host_use, pinned, read_host
from observability.load.in_flight import InFlightSample, sampling_in_flight
from observability.load.options import LoadOptions, LoopName
from observability.load.orders import PlannedOrder
from observability.load.outcomes import OutcomeKind
from observability.load.recorder import OnProgress, Run
from observability.load.result import LoadResult
from observability.load.validity_checks import (
    Gate,
    backlog_gate,
    connections_gate,
    generator_cpu_gate,
    in_flight_gate,
    send_lag_gate,
    sent_gate,
)

_CONNECT_TIMEOUT_SECONDS = 2.0
_FILES_BESIDE_CONNECTIONS = 64

Drive = Callable[[Run], Awaitable[None]]


def run_open(
    plan: Sequence[PlannedOrder], options: LoadOptions, *, on_progress: OnProgress | None = None
) -> LoadResult:
    """Send the plan open loop, each order when it is due, and check the run's validity.

    Blocks until the last answer. On a main thread SIGINT and SIGTERM stop it early, and the result says so. Raises
    LoadError if nothing listens at the target or no order was answered, LoadUsageError for a bad target.
    """
    return _on_own_loop(_measure("open", plan, options, open_loop.drive, on_progress), options.cpu)


def run_closed(
    plan: Sequence[PlannedOrder], options: LoadOptions, *, on_progress: OnProgress | None = None
) -> LoadResult:
    """Send the plan closed loop with `options.concurrency` customers; without gates. Raises as `run_open` does.

    With `options.duration_seconds` it ends after that time, even if not all of the plan was sent.
    """
    if options.concurrency is None or not 1 <= options.concurrency <= options.maximum_connections:
        raise LoadUsageError(f"--concurrency must be 1 to {options.maximum_connections:,}")
    until_seconds = math.inf if options.duration_seconds is None else options.duration_seconds
    drive = functools.partial(closed_loop.drive, concurrency=options.concurrency, until_seconds=until_seconds)
    return _on_own_loop(_measure("closed", plan, options, drive, on_progress), options.cpu)


def _on_own_loop(measuring: Awaitable[LoadResult], cpu: int | None) -> LoadResult:
    with pinned(cpu), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_as_coroutine(measuring))


async def _as_coroutine(measuring: Awaitable[LoadResult]) -> LoadResult:
    return await measuring


async def _measure(
    loop: LoopName, plan: Sequence[PlannedOrder], options: LoadOptions, drive: Drive, on_progress: OnProgress | None
) -> LoadResult:
    await _check_reachable(options.target)
    options = replace(options, maximum_connections=min(options.maximum_connections, _files_allowed()))
    async with open_client(options) as client:
        with _without_collections():
            run = Run(plan=plan, client=client, on_progress=on_progress)
            before = read_host(options.service_pids)
            with run.stopping_on_signals():
                async with sampling_in_flight(run, options) as samples:
                    await drive(run)
            elapsed_seconds = run.now_seconds()
            use = host_use(before, read_host(options.service_pids), cpu=options.cpu)
    _check_answered(run, options)
    return LoadResult(
        loop=loop,
        options=options,
        scheduled=len(plan),
        records=tuple(run.records),
        gates=_gates(run, options, samples, use, elapsed_seconds) if loop == "open" and run.stop_signal is None else (),
        host=use,
        started_at_unix_seconds=run.started_at_unix_seconds,
        elapsed_seconds=elapsed_seconds,
        stop_signal=run.stop_signal,
    )


def _gates(
    run: Run, options: LoadOptions, samples: Sequence[InFlightSample], use: HostUse, elapsed_seconds: float
) -> tuple[Gate, ...]:
    busy_seconds = use.generator_cpu_seconds - run.idle_yield_seconds
    return (
        sent_gate(scheduled=len(run.plan), sent=run.sent),
        send_lag_gate(run.records),
        generator_cpu_gate(busy_seconds=busy_seconds, elapsed_seconds=elapsed_seconds),
        connections_gate(peak_in_flight=run.peak_in_flight, maximum_connections=options.maximum_connections),
        in_flight_gate(run.records, samples),
        backlog_gate(run.records, duration_seconds=run.plan[-1].intended_seconds),
    )


async def _check_reachable(target: str) -> None:
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal():
        raise LoadUsageError(f"the target must be HOST:PORT, not {target!r}")
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, OverflowError, TimeoutError) as error:
        raise LoadError(
            f"nothing answers at {target}: start the platform with `plumb up`, or check --target"
        ) from error
    writer.close()
    await writer.wait_closed()


def _check_answered(run: Run, options: LoadOptions) -> None:
    if run.failure is not None:
        raise run.failure
    if run.records and run.stop_signal is None and all(r.outcome is OutcomeKind.TRANSPORT for r in run.records):
        reason = run.records[0].reason
        raise LoadError(
            f"none of {len(run.records):,} orders was answered by {options.target} ({reason}): is it the edge?"
        )


def _files_allowed() -> int:
    """Raise the limit of open files as far as allowed, and return how many connections it leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return max(1, soft - _FILES_BESIDE_CONNECTIONS)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Freeze the plan for the garbage collector: scanning its many objects takes longer than an answer."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()

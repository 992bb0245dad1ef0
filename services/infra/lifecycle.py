"""Lifecycle of a process and owner of its signals: start all servers, report ready, wait, drain, stop all, exit 0."""

import asyncio
import os
import resource
import signal
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import orjson
from structlog.typing import FilteringBoundLogger

from observability.listener.accept_errors import AcceptErrors
from observability.telemetry import setup
from observability.telemetry.logs import LogOutputs
from observability.telemetry.process import watch_process
from services.infra.atomic_file import write_atomically
from services.infra.crash_points import crash_points
from services.infra.readiness import Readiness
from services.infra.settings import RunnableSettings

# Limit for writing the last log line, about a drain that was cut off.
LAST_LINE_SECONDS = 1.0


class Server(Protocol):
    """Something that serves on an address."""

    async def start(self) -> dict[str, str]:
        """Serve, and return {name: host:port}. Raises OSError when the address is taken."""

    async def announce_drain(self) -> None:
        """Tell clients to use other servers; requests that come are still answered."""

    async def stop(self, *, grace_seconds: float) -> None:
        """Reject new requests, let requests in flight end within the grace."""


async def serve(
    servers: Sequence[Server],
    *,
    readiness: Readiness,
    settings: RunnableSettings,
    log: FilteringBoundLogger,
    outputs: LogOutputs,
) -> None:
    """Start the servers in order, wait for SIGTERM or SIGINT, drain, and stop them all at the same time.

    All that follows the signal has `drain_limit_seconds`, including closing databases and sending spans.
    The first server is the admin server: it is stopped after the others, within the rest of the grace.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    checking: asyncio.Task[None] | None = None
    started: list[Server] = []
    addresses: dict[str, str] = {}
    try:
        for server in servers:
            addresses |= await server.start()
            started.append(server)
        await readiness.check()
        readiness.serve()
        checking = asyncio.create_task(readiness.keep_checking(log), name="check-readiness")
        write_ready_file(settings.ready_file, addresses)
        log.info("process.started", **addresses)
        await stopping.wait()
        end_within(settings.drain_limit_seconds, log=log, outputs=outputs)
        readiness.drain()
        log.info("process.drain_started", delay_seconds=settings.drain_delay_seconds)
        for server in servers:
            await server.announce_drain()
        await asyncio.sleep(settings.drain_delay_seconds)
    finally:
        if checking is not None:
            checking.cancel()
        await stop_all(started, grace_seconds=settings.drain_grace_seconds)
    log.info("process.drained")


def end_within(seconds: float, *, log: FilteringBoundLogger, outputs: LogOutputs) -> None:
    """End the process with exit code 1 and a log event if it still runs after `seconds`.

    Each step of the drain has a limit of its own, but together they may exceed the time after which a supervisor kills.
    """

    def cut_off() -> None:
        log.error("process.drain_cut_off", limit_seconds=seconds)
        outputs.close(timeout_seconds=LAST_LINE_SECONDS)
        os._exit(1)

    watching = threading.Timer(seconds, cut_off)
    watching.daemon = True  # a process that ends in time does not wait for it
    watching.start()


async def stop_all(servers: Sequence[Server], *, grace_seconds: float) -> None:
    """Stop servers within one grace for all of them, since separate ones would add up.

    Raises the errors of the stops as one group, once all of them have returned.
    """
    ends = monotonic() + grace_seconds
    errors: list[BaseException] = []
    for together in (servers[1:], servers[:1]):
        left_seconds = max(0.0, ends - monotonic())
        results = await asyncio.gather(
            *(server.stop(grace_seconds=left_seconds) for server in together), return_exceptions=True
        )
        errors += [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise BaseExceptionGroup("servers did not stop cleanly", errors)


def write_ready_file(path: Path | None, addresses: dict[str, str]) -> None:
    """Write the addresses as JSON in one atomic step, so that a reader never sees half of them."""
    if path:
        write_atomically(path, orjson.dumps(addresses))


def run(name: str, settings: RunnableSettings, body: Callable[[setup.Runtime], Coroutine[Any, Any, None]]) -> None:
    """Run the body of a process with telemetry; flush the last spans and log lines within a limit."""
    crash_points.arm(os.environ)
    use_all_descriptors()
    runtime = setup.start(name, log_level=settings.log_level)
    try:
        asyncio.run(watched(runtime, body))
    finally:
        if not runtime.shut_down(timeout_seconds=settings.telemetry_flush_seconds):
            runtime.log.warning("process.spans_left_behind", waited_seconds=settings.telemetry_flush_seconds)
        runtime.outputs.close()


def use_all_descriptors() -> None:
    """Raise the limit on file descriptors to the hard limit; the usual soft limit of 1,024 is for select()."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def watched(runtime: setup.Runtime, body: Callable[[setup.Runtime], Coroutine[Any, Any, None]]) -> None:
    """Run the body beside the task that measures the process."""

    def report(error: OSError, unreported: int) -> None:
        runtime.log.error("process.accept_failed", reason=error.strerror, unreported=unreported)

    asyncio.get_running_loop().set_exception_handler(AcceptErrors(report))
    watching = asyncio.create_task(watch_process(runtime.metrics, runtime.loop_lag), name="watch-process")
    try:
        await body(runtime)
    finally:
        watching.cancel()

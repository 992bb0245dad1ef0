"""Worker: waits between steps, failures of steps, and its end."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.telemetry import setup
from services.infra import deadline, worker
from services.infra.worker import Worker
from services.kernel.errors import Unavailable
from tests.patience import PATIENCE_SECONDS


class Steps:
    """A step with a list of results, which then waits an hour."""

    def __init__(self, *outcomes: float | BaseException) -> None:
        self.outcomes = list(outcomes)
        self.taken = 0
        self.ended = 0
        self.done = asyncio.Event()

    async def __call__(self) -> float:
        """Take the next one."""
        self.taken += 1
        outcome = self.outcomes.pop(0) if self.outcomes else 3600.0
        if not self.outcomes:
            self.done.set()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def at_end(self) -> None:
        """Count the ends."""
        self.ended += 1


@asynccontextmanager
async def running(step: Callable[[], Awaitable[float]], **options: object) -> AsyncIterator[tuple[Worker, BytesIO]]:
    """Yield a running worker and its log events."""
    logs = BytesIO()
    processor = SimpleSpanProcessor(InMemorySpanExporter())
    runtime = setup.start("test", log_level="info", processor=processor, log_stream=logs)
    started = Worker("test", step, telemetry=runtime.for_context("test"), **options)  # type: ignore[arg-type]
    await started.start()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield started, logs
    finally:
        await started.stop(grace_seconds=0.0)


async def test_a_step_with_more_to_do_is_followed_by_the_next() -> None:
    steps = Steps(0.0, 0.0, 0.001, 0.0)
    async with running(steps):
        await steps.done.wait()
    assert steps.taken >= 4


async def test_a_wake_up_ends_the_wait() -> None:
    """Here an hour."""
    steps = Steps(3600.0)
    async with running(steps) as (woken, _):
        await steps.done.wait()
        while steps.taken < 2:
            woken.wake()
            await asyncio.sleep(0)


async def test_a_failure_is_logged_with_its_stack_and_retried() -> None:
    """Only bugs are logged with a stack; an unavailable dependency is not."""
    steps = Steps(KeyError("a bug"), Unavailable(1.0), 0.0)
    async with running(steps) as (_, logs):
        await steps.done.wait()
    bug, away = [json.loads(line) for line in logs.getvalue().splitlines()]
    assert (bug["error_type"], bug["failures"]) == ("KeyError", 1)
    assert "Traceback" in json.dumps(bug)
    assert (away["error_type"], away["failures"]) == ("DEPENDENCY_UNAVAILABLE", 2)
    assert "Traceback" not in json.dumps(away)


async def test_a_worker_that_ends_early_is_counted_and_restarted() -> None:
    """A library raises a CancelledError of its own, which no step handles as a failure."""
    steps = Steps(asyncio.CancelledError(), 0.0)
    async with running(steps) as (_, logs):
        await steps.done.wait()
        ended = json.loads(logs.getvalue().splitlines()[0])
    assert (ended["event"], ended["error_type"]) == ("worker.ended", "CancelledError")
    assert steps.taken == 3


async def test_a_failing_worker_is_not_woken_out_of_its_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """It still ends at once when it is stopped."""
    monkeypatch.setattr(worker, "full_jitter_seconds", lambda _failures, *, most_seconds: 3600.0)
    steps = Steps(KeyError())
    async with running(steps) as (woken, _):
        await steps.done.wait()
        for _ in range(50):
            woken.wake()
            await asyncio.sleep(0)
        assert steps.taken == 1
        await woken.stop(grace_seconds=PATIENCE_SECONDS)


async def test_the_end_of_a_worker_runs_once_after_the_last_step() -> None:
    """As soon as the drain is announced."""
    steps = Steps(3600.0)
    async with running(steps, at_end=steps.at_end) as (draining, _):
        await steps.done.wait()
        assert steps.ended == 0
        await draining.announce_drain()
        while not steps.ended:
            await asyncio.sleep(0)
    assert (steps.taken, steps.ended) == (1, 1)


async def test_an_end_that_fails_is_recorded_and_harms_nothing() -> None:
    async def fail() -> None:
        raise KeyError

    steps = Steps(3600.0)
    async with running(steps, at_end=fail) as (draining, logs):
        await steps.done.wait()
        await draining.stop(grace_seconds=PATIENCE_SECONDS)
    assert b"worker.step_failed" in logs.getvalue()


async def test_a_step_that_does_not_end_is_cancelled_after_the_grace() -> None:
    """`at_end` is skipped, since the state of the cancelled step is unknown."""
    cancelled, begun = asyncio.Event(), asyncio.Event()
    steps = Steps()

    async def hang() -> float:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return 0.0

    async with running(hang, at_end=steps.at_end) as (hanging, _):
        await begun.wait()
        await hanging.stop(grace_seconds=0.01)
    assert (cancelled.is_set(), steps.ended) == (True, 0)


async def test_a_step_has_a_deadline_and_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for something without a deadline fails a little later."""
    monkeypatch.setattr(worker, "MARGIN_SECONDS", 0.0)
    seen: list[float] = []
    again = asyncio.Event()

    async def hang() -> float:
        seen.append(deadline.remaining_seconds())
        if len(seen) == 2:
            again.set()
        await asyncio.Event().wait()
        return 0.0

    async with running(hang, step_limit_seconds=0.05) as (_, logs):
        await again.wait()
    assert 0 < seen[0] <= 0.05
    assert b"TimeoutError" in logs.getvalue()

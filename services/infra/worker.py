"""Background worker: repeats a step, woken or by the clock, until the process drains."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.backoff import full_jitter_seconds
from services.kernel.errors import ServiceError

# What a step needs (a database, a broker) may be back at any moment.
LONGEST_BACKOFF_SECONDS = 5.0
AT_END_SECONDS = 2.0
# A step that waits for anything but a database is ended so long after its deadline.
MARGIN_SECONDS = 1.0
CANCEL_SECONDS = 5.0


class Worker:
    """Repeats `step`, which returns the seconds to wait before the next one; satisfies lifecycle.Server.

    A step that fails is repeated after a full-jitter backoff of at most 5 s: nothing a worker does may be given up.
    A worker that ends before it is told to, as by a cancellation that a library let out, is counted and started again.
    `at_end` runs after the last step, as soon as the process drains; not when that step had to be cancelled.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[float]],
        *,
        telemetry: Telemetry,
        at_end: Callable[[], Awaitable[None]] | None = None,
        step_limit_seconds: float = 30.0,
        longest_backoff_seconds: float = LONGEST_BACKOFF_SECONDS,
    ) -> None:
        self._name = name
        self._step = step
        self._telemetry = telemetry
        self._at_end = at_end
        self._step_limit_seconds = step_limit_seconds
        self._longest_backoff_seconds = longest_backoff_seconds
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        telemetry.metrics.worker_failures.add(0, telemetry.context, name)
        telemetry.metrics.worker_ends.add(0, telemetry.context, name)

    def wake(self) -> None:
        """Take the next step now rather than when its time comes; a backoff goes on."""
        self._woken.set()

    async def start(self) -> dict[str, str]:
        """Begin; a worker has no address."""
        self._task = asyncio.create_task(self._supervise(), name=f"worker-{self._name}")
        return {}

    async def announce_drain(self) -> None:
        """Begin no further step."""
        self._stopping.set()
        self._woken.set()

    async def stop(self, *, grace_seconds: float) -> None:
        """Let the step under way end within the grace, then cancel it."""
        await self.announce_drain()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=grace_seconds)
            if late:
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=CANCEL_SECONDS)

    async def _supervise(self) -> None:
        """Run until told to stop; start again after a backoff when the run ended on its own."""
        while not self._stopping.is_set():
            try:
                await self._run()
            except asyncio.CancelledError as error:
                if (task := asyncio.current_task()) and task.cancelling():
                    raise
                backoff_seconds = self._record_end(error)
            except Exception as error:  # noqa: BLE001  # recorded: background work goes on
                backoff_seconds = self._record_end(error)
            else:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff_seconds)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            wait_seconds, unless = await self._step_safely()
            if self._stopping.is_set():
                break
            if wait_seconds > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(unless.wait(), wait_seconds)
        await self._end_safely()

    async def _step_safely(self) -> tuple[float, asyncio.Event]:
        """Take one step; return how long to wait then, and what ends the wait. A failure is counted and logged."""
        try:
            async with asyncio.timeout(self._step_limit_seconds + MARGIN_SECONDS):
                with deadline.within(self._step_limit_seconds):
                    wait_seconds = await self._step()
        except Exception as error:  # noqa: BLE001  # a worker outlives its bugs; each is recorded
            # Whoever wakes us knows nothing of the failure: a request a time would make a storm of attempts.
            return self._record(error), self._stopping
        self._failures = 0
        return wait_seconds, self._woken

    async def _end_safely(self) -> None:
        if self._at_end is None:
            return
        try:
            async with asyncio.timeout(AT_END_SECONDS):
                with deadline.within(AT_END_SECONDS):
                    await self._at_end()
        except Exception as error:  # noqa: BLE001  # recorded: the process ends either way
            self._record(error)

    def _record_end(self, error: BaseException) -> float:
        backoff_seconds = self._next_backoff_seconds()
        telemetry = self._telemetry
        telemetry.metrics.worker_ends.add(1, telemetry.context, self._name)
        telemetry.log.error(
            "worker.ended",
            worker=self._name,
            error_type=type(error).__name__,
            backoff_seconds=round(backoff_seconds, 3),
            exc_info=error,
        )
        return backoff_seconds

    def _next_backoff_seconds(self) -> float:
        self._failures += 1
        return full_jitter_seconds(self._failures, most_seconds=self._longest_backoff_seconds)

    def _record(self, error: Exception) -> float:
        backoff_seconds = self._next_backoff_seconds()
        telemetry = self._telemetry
        telemetry.metrics.worker_failures.add(1, telemetry.context, self._name)
        expected = isinstance(error, ServiceError)
        telemetry.log.warning(
            "worker.step_failed",
            worker=self._name,
            error_type=getattr(error, "reason", type(error).__name__),
            failures=self._failures,
            backoff_seconds=round(backoff_seconds, 3),
            exc_info=None if expected else error,
        )
        return backoff_seconds

"""Background worker: repeats a step, at intervals or when woken, until the process drains."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.backoff import full_jitter_seconds
from services.kernel.errors import ServiceError

# Short, since a dependency (a database, a broker) may recover at any moment.
LONGEST_BACKOFF_SECONDS = 5.0
AT_END_SECONDS = 2.0
# A step is cancelled this long after its deadline, which bounds waits that do not know of deadlines.
MARGIN_SECONDS = 1.0
CANCEL_SECONDS = 5.0


class Worker:
    """Repeats a step; implements lifecycle.Server.

    step: returns the seconds to wait before the next step
    at_end: runs after the last step, when the process drains; not if that step had to be cancelled
    step_limit_seconds: timeout of a step
    longest_backoff_seconds: longest wait after a failed step

    A failed step is retried after a back-off with full jitter, without end: background work must not be lost.
    A worker that ends without being stopped, for example by a cancellation inside a library, is counted and restarted.
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
        """Take the next step now instead of after its wait; a back-off is not shortened."""
        self._woken.set()

    async def start(self) -> dict[str, str]:
        """Start the worker; it has no address."""
        self._task = asyncio.create_task(self._supervise(), name=f"worker-{self._name}")
        return {}

    async def announce_drain(self) -> None:
        """Begin no further step."""
        self._stopping.set()
        self._woken.set()

    async def stop(self, *, grace_seconds: float) -> None:
        """Let the current step end within the grace, then cancel it."""
        await self.announce_drain()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=grace_seconds)
            if late:
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=CANCEL_SECONDS)

    async def _supervise(self) -> None:
        """Run until stopped; restart after a back-off when the run ended on its own."""
        while not self._stopping.is_set():
            try:
                await self._run()
            except asyncio.CancelledError as error:
                if (task := asyncio.current_task()) and task.cancelling():
                    raise
                backoff_seconds = self._record_end(error)
            except Exception as error:  # noqa: BLE001  # recorded, and the worker is restarted
                backoff_seconds = self._record_end(error)
            else:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff_seconds)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            wait_seconds, wake_up = await self._step_safely()
            if self._stopping.is_set():
                break
            if wait_seconds > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake_up.wait(), wait_seconds)
        await self._end_safely()

    async def _step_safely(self) -> tuple[float, asyncio.Event]:
        """Take one step; return the seconds to wait and the event that ends the wait. Count and log a failure."""
        try:
            async with asyncio.timeout(self._step_limit_seconds + MARGIN_SECONDS):
                with deadline.within(self._step_limit_seconds):
                    wait_seconds = await self._step()
        except Exception as error:  # noqa: BLE001  # recorded, and the step is retried
            # Ignore wake-ups during the back-off; otherwise each request would trigger a retry.
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
        except Exception as error:  # noqa: BLE001  # recorded; the process ends either way
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

"""How does a process do work that nobody waits for? One step after the other, woken or by the clock, until it drains."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from observability.telemetry.telemetry import Telemetry
from services.infra import deadline
from services.infra.backoff import full_jitter_seconds
from services.kernel.errors import ServiceError

LONGEST_BACKOFF_SECONDS = 5.0
AT_END_SECONDS = 2.0


class Worker:
    """Repeats `step`, which returns the seconds to wait before the next one; satisfies lifecycle.Server.

    A step that fails is repeated after a full-jitter backoff of at most five seconds: nothing a worker does may be given
    up, and what it needs (a database, a broker) may be back at any moment. `at_end` is awaited after the last step.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[float]],
        *,
        telemetry: Telemetry,
        step_limit_seconds: float = 30.0,
        at_end: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._name = name
        self._step = step
        self._telemetry = telemetry
        self._step_limit_seconds = step_limit_seconds
        self._at_end = at_end
        self._woken = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        telemetry.metrics.worker_failures.add(0, telemetry.context, name)

    def wake(self) -> None:
        """Take the next step now rather than when its time comes."""
        self._woken.set()

    async def start(self) -> dict[str, str]:
        """Begin; a worker has no address."""
        self._task = asyncio.create_task(self._run(), name=f"worker-{self._name}")
        return {}

    async def announce_drain(self) -> None:
        """Begin no further step."""
        self._stopping = True
        self._woken.set()

    async def stop(self, *, grace_seconds: float) -> None:
        """Let the step under way end within the grace, then cancel it."""
        await self.announce_drain()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=grace_seconds)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._at_end is not None:
            try:
                with deadline.within(AT_END_SECONDS):
                    await self._at_end()
            except ServiceError as error:
                self._record(error)

    async def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            wait_seconds = await self._step_safely()
            if wait_seconds > 0 and not self._stopping:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), wait_seconds)

    async def _step_safely(self) -> float:
        """Take one step; any failure is counted, logged and backed off from."""
        try:
            with deadline.within(self._step_limit_seconds):
                wait_seconds = await self._step()
        except Exception as error:  # noqa: BLE001  # a worker outlives its bugs; each is recorded
            return self._record(error)
        self._failures = 0
        return wait_seconds

    def _record(self, error: Exception) -> float:
        self._failures += 1
        backoff_seconds = full_jitter_seconds(self._failures, most_seconds=LONGEST_BACKOFF_SECONDS)
        telemetry = self._telemetry
        telemetry.metrics.worker_failures.add(1, telemetry.context, self._name)
        expected = isinstance(error, ServiceError)
        telemetry.log.warning(
            f"{telemetry.context}.worker_step_failed",
            worker=self._name,
            error_type=getattr(error, "reason", type(error).__name__),
            failures=self._failures,
            backoff_seconds=round(backoff_seconds, 3),
            exc_info=None if expected else error,
        )
        return backoff_seconds

"""Watch over processes: reports the first one that ends unexpectedly."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from services.local.processes.child_process import ChildProcess
from services.local.processes.errors import ProcessFailed

T = TypeVar("T")
EXPLANATION_SECONDS = 0.5


class Watch:
    """Processes that must keep running; a wait for anything else can be combined with a wait for their failure.

    A process whose end was requested, for example to restart it, is not reported.
    """

    def __init__(self) -> None:
        self._processes: list[ChildProcess] = []
        self._changed = asyncio.Event()

    def add(self, process: ChildProcess) -> None:
        """Add a process to the watch."""
        self._processes = [known for known in self._processes if not known.end_wanted] + [process]
        # A new event each time: a waiter on the old one knows the old processes, and misses no change.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def failure(self) -> ProcessFailed:
        """Wait, without a limit, until a process ends unexpectedly, and return its error."""
        while True:
            watched = [process for process in self._processes if not (process.ended and process.end_wanted)]
            ends = {asyncio.ensure_future(process.exited()): process for process in watched}
            change = asyncio.ensure_future(self._changed.wait())
            try:
                done, _ = await asyncio.wait({*ends, change}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for waiter in (*ends, change):
                    waiter.cancel()
            for waiter, process in ends.items():
                if waiter in done and not process.end_wanted:
                    return process.failure(waiter.result())

    async def unless_failure(self, step: Coroutine[Any, Any, T]) -> T:
        """Return the result of `step`. Raises ProcessFailed as soon as a process ends while it runs."""
        running = asyncio.ensure_future(step)
        failing = asyncio.ensure_future(self.failure())
        try:
            await asyncio.wait({running, failing}, return_when=asyncio.FIRST_COMPLETED)
            if running.done() and running.exception() is not None:
                # A step often fails because a process has died, which explains more and is reported a moment later.
                await asyncio.wait({failing}, timeout=EXPLANATION_SECONDS)
            if failing.done():
                raise failing.result()
            return running.result()
        finally:
            for task in (running, failing):
                task.cancel()
            await asyncio.gather(running, failing, return_exceptions=True)

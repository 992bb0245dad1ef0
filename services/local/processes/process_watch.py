"""Has a process of the platform ended though nobody asked it to?"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from services.local.processes.errors import ProcessFailed
from services.local.processes.guarded_process import GuardedProcess

T = TypeVar("T")
EXPLANATION_SECONDS = 0.5


class Watch:
    """The processes that must live; whatever waits for something waits for their death too.

    A process whose end was asked for, to start it again, is not missed.
    """

    def __init__(self) -> None:
        self._processes: list[GuardedProcess] = []
        self._changed = asyncio.Event()

    def add(self, process: GuardedProcess) -> None:
        """From now on this process must live."""
        self._processes = [known for known in self._processes if not known.end_wanted] + [process]
        # A fresh one each time: who listens to it has the processes of before, and misses no change.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def failure(self) -> ProcessFailed:
        """Waits, without a bound, until one of the processes ended unasked and returns what there is to say of it."""
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
        """The result of `step`; raises ProcessFailed as soon as a process ends while it runs."""
        running = asyncio.ensure_future(step)
        failing = asyncio.ensure_future(self.failure())
        try:
            await asyncio.wait({running, failing}, return_when=asyncio.FIRST_COMPLETED)
            if running.done() and running.exception() is not None:
                # A step often fails because a process died, whose end explains more and shows a moment later.
                await asyncio.wait({failing}, timeout=EXPLANATION_SECONDS)
            if failing.done():
                raise failing.result()
            return running.result()
        finally:
            for task in (running, failing):
                task.cancel()
            await asyncio.gather(running, failing, return_exceptions=True)

"""Task that cancels itself at its Nth wait, to test callers that leave in the middle."""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


class _CancelledAt(Awaitable[Result]):
    """Runs a coroutine; cancels the current task just before it waits for the Nth time."""

    def __init__(self, coroutine: Coroutine[Any, Any, Result], wait: int) -> None:
        self._coroutine = coroutine
        self._waits_left = wait

    def __await__(self) -> Generator[Any, Any, Result]:
        sent, thrown = None, None
        while True:
            try:
                waited_for = self._coroutine.throw(thrown) if thrown else self._coroutine.send(sent)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # a StopIteration holds anything
            self._waits_left -= 1
            if self._waits_left == 0:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                sent, thrown = (yield waited_for), None
            except BaseException as error:  # noqa: BLE001  # whatever comes goes into the coroutine
                sent, thrown = None, error


async def is_cancelled_at(wait: int, coroutine: Coroutine[Any, Any, object]) -> bool:
    """Run a coroutine in a task that is cancelled at its Nth wait; False when it ended before."""

    async def run() -> None:
        await _CancelledAt(coroutine, wait)

    task = asyncio.create_task(run())
    await asyncio.wait({task})
    if task.cancelled():
        return True
    task.result()
    return False

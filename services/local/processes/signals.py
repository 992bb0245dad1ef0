"""How does Ctrl-C, SIGTERM or a closed terminal end a command that has children to stop?"""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal asked the command to end, and it did; by custom the exit status is 128 + `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def run_interruptible(main: Callable[[], Coroutine[Any, Any, T]], *, again: Callable[[], None] = lambda: None) -> T:
    """Runs `main` in an event loop of its own; the first ending signal cancels it, so that it clears up.

    Later signals do not break the clearing up, whose every wait is bounded; they call `again`, to say so. Raises
    Interrupted once everything is cleared up.
    """
    return asyncio.run(_supervise(main, again))


async def _supervise(main: Callable[[], Coroutine[Any, Any, T]], again: Callable[[], None]) -> T:
    received: list[int] = []
    task = asyncio.ensure_future(main())

    def interrupt(number: int) -> None:
        received.append(number)
        if len(received) == 1:
            task.cancel()
        else:
            again()

    loop = asyncio.get_running_loop()
    for number in ENDING_SIGNALS:
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # `nohup` asked for that.
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise Interrupted(received[0]) from None
        raise

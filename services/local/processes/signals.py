"""Signal handling of commands with child processes: Ctrl-C, SIGTERM or a closed terminal cancel them cleanly."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """The command was ended by a signal; by convention the exit status is 128 + `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.number = number


def run_interruptible(main: Callable[[], Coroutine[Any, Any, T]], *, again: Callable[[], None] = lambda: None) -> T:
    """Run `main` in an event loop of its own; the first ending signal cancels it, so that it cleans up.

    Later signals do not interrupt the clean-up, all of whose waits are bounded; they call `again`, which may say so.
    Raises Interrupted after the clean-up.
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
            continue  # set by `nohup`
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise Interrupted(received[0]) from None
        raise

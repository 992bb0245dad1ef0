"""Reports of failed accepts when the process has no file descriptor left, at most one a minute.

asyncio logs each attempt with a traceback, 512 a second for each listener: 38 MB of log a minute.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

REPORT_EVERY_SECONDS = 60.0
ACCEPT_FAILED = "socket.accept() out of system resource"


class AcceptErrors:
    """Exception handler of an event loop; `report` gets the error and the number of unreported ones before it."""

    def __init__(self, report: Callable[[OSError, int], None], *, clock: Callable[[], float] = monotonic) -> None:
        self._report = report
        self._clock = clock
        self._next_report = clock()
        self._unreported = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Report a failed accept; pass any other error to the loop's default handler."""
        error = context.get("exception")
        if context.get("message") != ACCEPT_FAILED or not isinstance(error, OSError):
            loop.default_exception_handler(context)
            return
        now = self._clock()
        if now < self._next_report:
            self._unreported += 1
            return
        self._report(error, self._unreported)
        self._next_report = now + REPORT_EVERY_SECONDS
        self._unreported = 0

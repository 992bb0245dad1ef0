"""Readiness of a process: background checks of what it needs, and one verdict for /readyz and gRPC health."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from structlog.typing import FilteringBoundLogger

from services.infra import deadline
from services.kernel.errors import Overloaded, ServiceError

# A check returns what is wrong, "" when nothing is; it may raise a ServiceError instead.
Check: TypeAlias = Callable[[], Awaitable[str]]

INTERVAL_SECONDS = 1.0
CHECK_SECONDS = 2.0
# One check that is slow or lost says little: the second in a row decides. One that passes is enough to be ready again.
FAILURES_UNTIL_UNREADY = 2


@dataclass(slots=True)
class Finding:
    """What the last checks of one need found; a need that was never checked is not met."""

    failures: int = FAILURES_UNTIL_UNREADY
    reason: str = "not checked yet"


class Readiness:
    """Whether the process wants traffic: it serves, does not drain, and what it needs has passed its checks.

    A probe is answered with the verdict of the last checks, and makes none.
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._findings = {name: Finding() for name in checks}
        self._is_serving = False
        self.is_draining = False
        self._changed = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether the process serves and each of its needs is met."""
        return not self.failures()

    def failures(self) -> list[str]:
        """Return the names of what is not ready, each with its reason."""
        unmet = [f"{name}: {it.reason}" for name, it in self._findings.items() if it.failures >= FAILURES_UNTIL_UNREADY]
        return [*([] if self._is_serving else ["serving: no"]), *unmet]

    def serve(self) -> None:
        """Say that the servers listen."""
        self._is_serving = True
        self._tell()

    def drain(self) -> None:
        """Ask for no more traffic, until the process ends."""
        self._is_serving, self.is_draining = False, True
        self._tell()

    def next_change(self) -> asyncio.Event:
        """Return the event that is set when the verdict may have changed."""
        return self._changed

    async def check(self) -> None:
        """Make each check once, all at the same time."""
        await asyncio.gather(*(self._check(name) for name in self._checks))
        self._tell()

    async def keep_checking(self, log: FilteringBoundLogger) -> None:
        """Check again and again, and log each change of the verdict."""
        was_ready = self.is_ready
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self.check()
            if self.is_ready != was_ready and not self.is_draining:
                was_ready = self.is_ready
                log.warning("process.readiness_changed", ready=was_ready, failures=self.failures())

    async def _check(self, name: str) -> None:
        finding = self._findings[name]
        try:
            with deadline.within(CHECK_SECONDS):
                reason = await self._checks[name]()
        except Overloaded:
            return  # all connections are in use: a process that is busy is not one that lacks something
        except ServiceError as error:
            reason = error.reason
        except Exception as bug:  # noqa: BLE001  # the reason is logged and told: checks of other needs go on
            reason = type(bug).__name__
        finding.failures, finding.reason = (finding.failures + 1 if reason else 0), reason

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

"""Readiness of a process: background checks of its dependencies, and one result for /readyz and gRPC health."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from structlog.typing import FilteringBoundLogger

from services.infra import deadline
from services.kernel.errors import Overloaded, ServiceError

# A check returns the reason of its failure, or "" when it passes; it may raise a ServiceError instead.
Check: TypeAlias = Callable[[], Awaitable[str]]

INTERVAL_SECONDS = 1.0
CHECK_SECONDS = 2.0
# A single slow or lost check is no evidence, two in a row are. One check that passes makes the process ready again.
FAILURES_UNTIL_UNREADY = 2


def any_of(checks: Sequence[Check]) -> Check:
    """Return a check that passes when one of the checks does; otherwise it fails as the first of them does.

    A check that found all connections in use comes before those that failed: the process stays ready then.
    """

    async def check() -> str:
        reasons = await asyncio.gather(*(each() for each in checks), return_exceptions=True)
        if "" in reasons:
            return ""
        reason = next((each for each in reasons if isinstance(each, Overloaded)), reasons[0])
        if isinstance(reason, BaseException):
            raise reason
        return reason

    return checks[0] if len(checks) == 1 else check


@dataclass(slots=True)
class Finding:
    """Result of the last checks of one dependency; before the first check it counts as failed."""

    failures: int = FAILURES_UNTIL_UNREADY
    reason: str = "not checked yet"


class Readiness:
    """Readiness for traffic: the process serves, does not drain, and its dependencies have passed their checks.

    A probe reads the result of the last checks and runs none itself.
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._findings = {name: Finding() for name in checks}
        self._is_serving = False
        self.is_draining = False
        self._changed = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether the process serves and all its dependencies have passed."""
        return not self.failures()

    def failures(self) -> list[str]:
        """Return the failed checks, each as name and reason."""
        failed = [
            f"{name}: {it.reason}" for name, it in self._findings.items() if it.failures >= FAILURES_UNTIL_UNREADY
        ]
        return [*([] if self._is_serving else ["serving: no"]), *failed]

    def serve(self) -> None:
        """Record that the servers listen."""
        self._is_serving = True
        self._notify()

    def drain(self) -> None:
        """Become unready until the process ends."""
        self._is_serving, self.is_draining = False, True
        self._notify()

    def next_change(self) -> asyncio.Event:
        """Return the event that is set at the next possible change of the result."""
        return self._changed

    async def check(self) -> None:
        """Run each check once, all concurrently."""
        await asyncio.gather(*(self._check(name) for name in self._checks))
        self._notify()

    async def keep_checking(self, log: FilteringBoundLogger) -> None:
        """Repeat the checks, and log each change of the result."""
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
            return  # all connections are in use: a busy process is not an unready one
        except ServiceError as error:
            reason = error.reason
        except Exception as bug:  # noqa: BLE001  # reported as the reason; the other checks go on
            reason = type(bug).__name__
        finding.failures, finding.reason = (finding.failures + 1 if reason else 0), reason

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

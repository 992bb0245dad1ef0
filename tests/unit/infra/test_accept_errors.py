"""Report of connections that cannot be accepted."""

import asyncio
import errno

import pytest

from observability.listener.accept_errors import ACCEPT_FAILED, REPORT_EVERY_SECONDS, AcceptErrors

ERROR = OSError(errno.EMFILE, "Too many open files")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_accept_errors_are_reported_once_a_minute_with_a_count() -> None:
    reports: list[int] = []
    clock = Clock()
    handler = AcceptErrors(lambda _, unreported: reports.append(unreported), clock=clock)
    loop = asyncio.new_event_loop()
    for _ in range(512):
        handler(loop, {"message": ACCEPT_FAILED, "exception": ERROR})
    clock.now = REPORT_EVERY_SECONDS
    handler(loop, {"message": ACCEPT_FAILED, "exception": ERROR})
    loop.close()
    assert reports == [0, 511]


def test_other_errors_are_left_to_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    AcceptErrors(lambda *_: None)(loop, {"message": "another", "exception": ValueError("seen")})
    loop.close()
    assert "another" in caplog.text

"""Readiness: one slow check does not change it, a second one does, and all probes get the same result."""

from collections.abc import Callable

import pytest

from services.infra.readiness import Readiness, any_of
from services.kernel.errors import DeadlineExceeded, Overloaded, ServiceError, Unavailable


class Need:
    """A check with a result that the test sets."""

    def __init__(self) -> None:
        self.result: str | Callable[[], Exception] = ""

    async def __call__(self) -> str:
        """Return or raise it."""
        if isinstance(self.result, str):
            return self.result
        raise self.result()


async def serving(need: Need) -> Readiness:
    """Return a readiness whose need was met once."""
    readiness = Readiness({"database": need})
    await readiness.check()
    readiness.serve()
    assert readiness.is_ready
    return readiness


async def test_nothing_is_ready_before_its_first_check() -> None:
    readiness = Readiness({"database": Need()})
    readiness.serve()
    assert readiness.failures() == ["database: not checked yet"]


async def test_one_failed_check_does_not_flap() -> None:
    need = Need()
    readiness = await serving(need)
    need.result = DeadlineExceeded
    await readiness.check()
    assert readiness.is_ready
    need.result = ""
    await readiness.check()
    need.result = DeadlineExceeded
    await readiness.check()
    assert readiness.is_ready


@pytest.mark.parametrize(
    ("failure", "reason"), [(DeadlineExceeded, "DEADLINE_EXCEEDED"), (LookupError, "LookupError"), ("gone", "gone")]
)
async def test_two_failed_checks_decide_and_one_that_passes_ends_it(
    failure: str | Callable[[], Exception], reason: str
) -> None:
    need = Need()
    readiness = await serving(need)
    need.result = failure
    await readiness.check()
    await readiness.check()
    assert readiness.failures() == [f"database: {reason}"]
    need.result = ""
    await readiness.check()
    assert readiness.is_ready


def busy() -> ServiceError:
    """Return the error of a database whose connections are all in use."""
    return Overloaded(1.0)


def away() -> ServiceError:
    """Return the error of a database that does not answer."""
    return Unavailable(1.0)


@pytest.mark.parametrize(
    ("first", "second", "failures"),
    [
        (away, "", []),
        ("", away, []),
        (away, busy, []),
        (busy, "gone", []),
        ("gone", away, ["databases: gone"]),
        (away, "gone", ["databases: DEPENDENCY_UNAVAILABLE"]),
    ],
)
async def test_one_of_several_that_passes_is_enough(
    first: str | Callable[[], Exception], second: str | Callable[[], Exception], failures: list[str]
) -> None:
    needs = (Need(), Need())
    readiness = Readiness({"databases": any_of(needs)})
    await readiness.check()
    readiness.serve()
    needs[0].result, needs[1].result = first, second
    for _ in range(2):
        await readiness.check()
    assert readiness.failures() == failures


async def test_a_busy_process_is_ready() -> None:
    need = Need()
    readiness = await serving(need)
    need.result = busy
    for _ in range(5):
        await readiness.check()
    assert readiness.is_ready


async def test_a_change_wakes_those_that_wait() -> None:
    readiness = await serving(Need())
    change = readiness.next_change()
    readiness.drain()
    assert change.is_set()
    assert not readiness.is_ready

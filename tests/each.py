"""Decorator that runs one test function for many values, without the cost of one pytest item for each."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TypeVar

Value = TypeVar("Value")


def for_each(
    values: Iterable[Value], name: Callable[[Value], object] = str
) -> Callable[[Callable[[Value], None]], Callable[[], None]]:
    """Run a test for each of these values, and report every one for which it fails by its name."""
    values = tuple(values)

    def decorate(check: Callable[[Value], None]) -> Callable[[], None]:
        @functools.wraps(check)
        def test() -> None:
            failed = []
            for value in values:
                try:
                    check(value)
                except AssertionError as error:
                    failed.append(error)
                    error.add_note(f"for {name(value)}")
            if failed:
                raise ExceptionGroup(f"{len(failed)} of {len(values)} failed", failed)

        # Else pytest takes the check's parameter for a fixture.
        test.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
        return test

    return decorate

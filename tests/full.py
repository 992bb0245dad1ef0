"""Parameters of tests that `make test` leaves to `make test-full`."""

import pytest


def in_full(*values: object) -> list[object]:
    """Return parameter values that only `make test-full` runs; `make test` runs others in their place."""
    return [pytest.param(value, marks=pytest.mark.full) for value in values]

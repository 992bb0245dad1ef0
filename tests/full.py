"""Parameters of tests that `make test` leaves to `make test-full`."""

import pytest


def in_full(*values: object) -> list[object]:
    """Return values of a parameter of which others stand for them in `make test`."""
    return [pytest.param(value, marks=pytest.mark.full) for value in values]

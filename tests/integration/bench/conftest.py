"""Long time limits for all benchmarks, which open many connections at once."""

from collections.abc import Iterator

import pytest

from services.infra import postgres
from tests.patience import PATIENCE_SECONDS
from tests.unhurried import unhurried


@pytest.fixture(autouse=True)
def patient_benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a benchmark in this process wait for connections as long as a slow machine takes."""
    monkeypatch.setattr(postgres, "ACQUIRE_SECONDS", PATIENCE_SECONDS)
    with unhurried():
        yield

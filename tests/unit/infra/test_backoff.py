"""Back-off of retries."""

import random

import pytest

from services.infra.backoff import full_jitter_seconds


@pytest.mark.parametrize(("failures", "most_seconds"), [(1, 0.2), (2, 0.4), (9, 51.2), (10, 60.0), (10_000, 60.0)])
def test_the_bound_doubles_up_to_a_minute(failures: int, most_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _least, most: most)
    assert full_jitter_seconds(failures) == pytest.approx(most_seconds)


def test_the_jitter_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any moment below the bound, the present one too."""
    monkeypatch.setattr(random, "uniform", lambda least, _most: least)
    assert full_jitter_seconds(5) == 0.0

"""Test of the cache of built programs: workers that need the same program at once build it once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.stack import kept as cache

CHANCE_SECONDS = 1.0


def test_two_that_need_a_program_at_once_build_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CACHE", tmp_path)
    building, twice = Event(), Event()

    def build(_draft: Path) -> None:
        if building.is_set():
            twice.set()
        building.set()
        # The other one has the chance to begin as well.
        twice.wait(CHANCE_SECONDS)

    def ask() -> Path:
        return cache.kept("program", "its sources", build)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask)
        assert building.wait(PATIENCE_SECONDS)
        second = pool.submit(ask)
        assert first.result(PATIENCE_SECONDS) == second.result(PATIENCE_SECONDS)
    assert not twice.is_set()

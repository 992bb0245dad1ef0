"""Counts in a sliding window, with a clock that the test sets."""

from services.infra.sliding_counts import SlidingCounts


def test_it_counts_by_name() -> None:
    counts = SlidingCounts(window_seconds=10.0, buckets=10)
    counts.add(0.0, "calls", "failed")
    counts.add(4.5, "calls")
    assert counts.total(9.0) == {"calls": 2, "failed": 1}


def test_a_bucket_is_forgotten_when_the_window_has_passed_it() -> None:
    counts = SlidingCounts(window_seconds=10.0, buckets=10)
    counts.add(0.5, "calls")
    counts.add(1.5, "calls")
    assert [counts.total(now)["calls"] for now in (9.9, 10.1, 11.1)] == [2, 1, 0]


def test_old_counts_are_dropped_after_a_pause() -> None:
    counts = SlidingCounts(window_seconds=10.0, buckets=10)
    counts.add(0.5, "calls")
    counts.add(60.0, "calls")
    assert counts.total(60.0) == {"calls": 1}

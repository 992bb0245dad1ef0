"""Changes of counters and histograms between two OpenMetrics scrapes."""

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.openmetrics.exposition import generate_latest

from observability.analysis.metrics_page import parse_page
from observability.analysis.openmetrics import Scrape, counter_deltas, histogram_deltas, merge, parse_scrape

_BUCKETS = (0.1, 0.2, 0.4)


class Service:
    """A registry as a service has it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.durations = Histogram(
            "call_duration_seconds", "Calls.", ("method", "code"), registry=self.registry, buckets=_BUCKETS
        )
        self.drops = Counter("drops", "Drops.", ("why",), registry=self.registry)

    def scrape(self) -> Scrape:
        text: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call]  # it has no annotations
        return parse_scrape(text.decode())


def test_a_delta_is_the_difference_of_two_scrapes() -> None:
    service = Service()
    service.durations.labels("Get", "OK").observe(0.15)
    before = service.scrape()
    service.durations.labels("Get", "OK").observe(0.35)
    service.durations.labels("Get", "OK").observe(9.0)
    [delta] = histogram_deltas(before, service.scrape(), "call_duration_seconds")
    assert delta.labels == {"method": "Get", "code": "OK"}
    assert [delta.count, delta.sum] == pytest.approx([2, 9.35])
    assert delta.buckets == ((0.1, 0), (0.2, 0), (0.4, 1), (math.inf, 2))


def test_label_sets_that_saw_nothing_are_left_out() -> None:
    service = Service()
    service.durations.labels("Get", "OK").observe(0.15)
    before = service.scrape()
    assert histogram_deltas(before, service.scrape(), "call_duration_seconds") == []


def test_after_a_restart_everything_is_new() -> None:
    old, new = Service(), Service()
    old.drops.labels("full").inc(7)
    new.drops.labels("full").inc(2)
    assert counter_deltas(old.scrape(), new.scrape(), "drops_total") == {(("why", "full"),): 2}


def test_merging_adds_up_samples_of_equal_labels() -> None:
    service = Service()
    before = service.scrape()
    service.durations.labels("Get", "OK").observe(0.15)
    service.durations.labels("Get", "NOT_FOUND").observe(0.05)
    [merged] = merge(histogram_deltas(before, service.scrape(), "call_duration_seconds"), by=["method"])
    assert (merged.labels, merged.count) == ({"method": "Get"}, 2)
    assert merged.buckets[:2] == ((0.1, 1), (0.2, 2))


def test_a_quantile_is_linear_within_its_bucket() -> None:
    service = Service()
    before = service.scrape()
    for _ in range(10):
        service.durations.labels("Get", "OK").observe(0.15)
    [delta] = histogram_deltas(before, service.scrape(), "call_duration_seconds")
    assert delta.quantile(0.5) == pytest.approx(0.15)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    service = Service()
    before = service.scrape()
    service.durations.labels("Get", "OK").observe(100)
    [delta] = histogram_deltas(before, service.scrape(), "call_duration_seconds")
    assert delta.quantile(0.5) == 0.4


def test_exemplars_are_found() -> None:
    service = Service()
    service.durations.labels("Get", "OK").observe(0.15, {"trace_id": "abc"})
    [exemplar] = service.scrape().exemplars
    assert (exemplar.value, exemplar.labels) == (0.15, {"trace_id": "abc"})


def test_a_total_adds_up_the_label_sets_that_match() -> None:
    service = Service()
    service.drops.labels("full").inc(2)
    service.drops.labels("lost").inc(3)
    assert (service.scrape().total("drops_total"), service.scrape().total("drops_total", why="lost")) == (5, 3)


def test_something_else_is_not_a_scrape() -> None:
    with pytest.raises(ValueError, match="<html>"):
        parse_scrape("<html>")


def test_a_sample_named_like_a_bucket_without_a_bound_is_none() -> None:
    labels = (("method", "Get"),)
    page = Scrape({"a_count": {labels: 2.0}, "a_sum": {labels: 1.0}, "a_bucket": {labels: 2.0}}, ())
    [delta] = histogram_deltas(Scrape({}, ()), page, "a")
    assert (delta.count, delta.buckets) == (2, ())


def test_a_page_with_two_families_of_one_name_is_read_all_the_same() -> None:
    """Micrometer gives a gauge of active connections the name that a family of durations has with `_count`."""
    page = (
        "# TYPE connections_seconds_active_count gauge\n"
        "connections_seconds_active_count 1.0\n"
        "# TYPE connections_seconds_active summary\n"
        "connections_seconds_active_count 2.0\n"
        "# TYPE process_cpu_seconds counter\n"
        'process_cpu_seconds_total 3.0 # {trace_id="1"} 0.5\n'
        "# EOF\n"
    )
    with pytest.raises(ValueError, match="Clashing name"):
        parse_scrape(page)
    assert parse_page(page).total("process_cpu_seconds_total") == 3

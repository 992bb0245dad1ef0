"""OpenMetrics scrapes: parses them, and computes the change of counters and histograms between two of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.openmetrics.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observed value with its exemplar labels, as the trace id."""

    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape: values by sample name (with its suffix) and by labels, and all exemplars."""

    samples: Mapping[str, Mapping[Labels, float]]
    exemplars: tuple[Exemplar, ...]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that carry these labels; 0 when there are none."""
        wanted = set(labels.items())
        return sum(value for found, value in self.samples.get(name, {}).items() if wanted <= set(found))


@dataclass(frozen=True, slots=True)
class HistogramDelta:
    """The increase of one label set of a histogram between two scrapes.

    labels: without `le`.
    count, sum: of the observations in between, the sum in the histogram's unit.
    buckets: (upper bound, observations at or below it), cumulative.
    """

    labels: Mapping[str, str]
    count: float
    sum: float
    buckets: tuple[tuple[float, float], ...]

    def quantile(self, q: float) -> float | None:
        """Return a quantile as Prometheus estimates it: linear within its bucket, at most the last finite bound.

        None when there were no observations.
        """
        if not self.count:
            return None
        rank = q * self.count
        lower_bound = lower_count = 0.0
        for upper_bound, upper_count in self.buckets:
            if upper_count >= rank and upper_count > lower_count:
                if upper_bound == float("inf"):
                    break
                return lower_bound + (upper_bound - lower_bound) * (rank - lower_count) / (upper_count - lower_count)
            if upper_bound != float("inf"):
                lower_bound, lower_count = upper_bound, upper_count
        return lower_bound


def parse_scrape(text: str) -> Scrape:
    """Parse OpenMetrics text; raises ValueError when the text is malformed."""
    samples: dict[str, dict[Labels, float]] = defaultdict(dict)
    exemplars = []
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]  # it has no annotations
        for sample in family.samples:
            samples[sample.name][tuple(sorted(sample.labels.items()))] = float(sample.value)
            if sample.exemplar is not None:
                exemplars.append(Exemplar(float(sample.exemplar.value), dict(sample.exemplar.labels)))
    return Scrape(dict(samples), tuple(exemplars))


def counter_deltas(before: Scrape, after: Scrape, name: str) -> dict[Labels, float]:
    """Return the increase of each label set of a counter; `name` is the sample's, with `_total`."""
    return _deltas(before, after, name)


def histogram_deltas(before: Scrape, after: Scrape, name: str) -> list[HistogramDelta]:
    """Return the increase of each label set of a histogram, sorted by labels, without those that did not change."""
    sums = _deltas(before, after, f"{name}_sum")
    buckets: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for labels, count in _deltas(before, after, f"{name}_bucket").items():
        bounds = dict(labels)
        # A series whose `le` is no number is of another metric, whose name happens to end in _bucket.
        if (upper_bound := _number(bounds.pop("le", ""))) is not None:
            buckets[tuple(bounds.items())].append((upper_bound, count))
    return [
        HistogramDelta(dict(labels), count, sums.get(labels, 0.0), tuple(sorted(buckets[labels])))
        for labels, count in sorted(_deltas(before, after, f"{name}_count").items())
        if count
    ]


def merge(deltas: Sequence[HistogramDelta], by: Iterable[str]) -> list[HistogramDelta]:
    """Sum the label sets that agree in the labels named by `by`; all must have the same bucket bounds."""
    names = tuple(by)
    groups: dict[Labels, list[HistogramDelta]] = defaultdict(list)
    for delta in deltas:
        groups[tuple((name, delta.labels.get(name, "")) for name in names)].append(delta)
    return [
        HistogramDelta(
            labels=dict(labels),
            count=sum(each.count for each in group),
            sum=sum(each.sum for each in group),
            buckets=tuple(
                (column[0][0], sum(count for _, count in column))
                for column in zip(*(each.buckets for each in group), strict=True)
            ),
        )
        for labels, group in sorted(groups.items())
    ]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _deltas(before: Scrape, after: Scrape, name: str) -> dict[Labels, float]:
    """Return the increase of each label set; a value that fell was reset by a restart and counts in full."""
    earlier = before.samples.get(name, {})
    return {
        labels: value - earlier.get(labels, 0.0) if value >= earlier.get(labels, 0.0) else value
        for labels, value in after.samples.get(name, {}).items()
    }

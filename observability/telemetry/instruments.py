"""Metric instruments over prometheus-client: bound children are cached, and the trace id is the exemplar."""

from collections.abc import Callable, Sequence

from opentelemetry import trace
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as PrometheusCounter
from prometheus_client import Gauge as PrometheusGauge
from prometheus_client import Histogram as PrometheusHistogram

# The same buckets for every duration, so that the quantiles of two layers can be compared.
DURATION_BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def current_exemplar() -> dict[str, str] | None:
    """Return the exemplar labels of the current span; None when it is not sampled."""
    span_context = trace.get_current_span().get_span_context()
    if not span_context.trace_flags.sampled:
        return None
    return {"trace_id": trace.format_trace_id(span_context.trace_id)}


class Histogram:
    """A histogram of durations in seconds; `enabled=False` records nothing."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], *, registry: CollectorRegistry, enabled: bool
    ) -> None:
        buckets = DURATION_BUCKETS_SECONDS
        self._histogram = PrometheusHistogram(name, documentation, labels, registry=registry, buckets=buckets)
        self._children: dict[tuple[str, ...], PrometheusHistogram] = {}
        self._enabled = enabled

    def observe(self, seconds: float, *labels: str) -> None:
        """Record one duration under these label values, with the current trace as its exemplar."""
        if self._enabled:
            self.child(*labels).observe(seconds, current_exemplar())

    def child(self, *labels: str) -> PrometheusHistogram:
        """Return the series of these label values; a new one starts at 0."""
        if labels not in self._children:
            self._children[labels] = self._histogram.labels(*labels) if labels else self._histogram
        return self._children[labels]


class Counter:
    """A counter; its name ends in `_total` on the wire."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], *, registry: CollectorRegistry, enabled: bool
    ) -> None:
        self._counter = PrometheusCounter(name, documentation, labels, registry=registry)
        self._children: dict[tuple[str, ...], PrometheusCounter] = {}
        self._enabled = enabled

    def add(self, amount: float, *labels: str) -> None:
        """Add an amount of at least 0; adding 0 creates the series."""
        if self._enabled:
            self.child(*labels).inc(amount)

    def child(self, *labels: str) -> PrometheusCounter:
        """Return the series of these label values; a new one starts at 0."""
        if labels not in self._children:
            self._children[labels] = self._counter.labels(*labels) if labels else self._counter
        return self._children[labels]


class Gauge:
    """A gauge, set by its owner or read by a function at each scrape."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], *, registry: CollectorRegistry, enabled: bool
    ) -> None:
        self._gauge = PrometheusGauge(name, documentation, labels, registry=registry)
        self._children: dict[tuple[str, ...], PrometheusGauge] = {}
        self._enabled = enabled

    def add(self, amount: float, *labels: str) -> None:
        """Change the value by an amount, which may be negative."""
        if self._enabled:
            if labels not in self._children:
                self._children[labels] = self._gauge.labels(*labels)
            self._children[labels].inc(amount)

    def read_from(self, function: Callable[[], float], *labels: str) -> None:
        """Call `function` for the value at each scrape."""
        if self._enabled:
            self._gauge.labels(*labels).set_function(function)

"""Queries for the percentiles of a duration, with exemplars that lead to traces."""

from grafana.build.lib.panel import Query
from grafana.build.lib.promql import chosen, quantile

FRACTIONS = {0.5: "p50", 0.95: "p95", 0.99: "p99"}
# Measured outside of requests, so that their samples have no trace.
UNTRACED = frozenset({"shop_event_loop_lag_seconds", "shop_gc_pause_seconds"})


def percentiles(histogram: str) -> tuple[Query, ...]:
    """Return the median, the 95th and the 99th percentile of a histogram, over all of its series."""
    buckets = chosen(f"{histogram}_bucket")
    return tuple(
        Query(quantile(fraction, buckets), name, exemplars=name == "p95" and histogram not in UNTRACED)
        for fraction, name in FRACTIONS.items()
    )


def p95(histogram: str, *by: str) -> Query:
    """Return the 95th percentile of a histogram for each value of the labels `by`."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return Query(quantile(0.95, chosen(f"{histogram}_bucket"), *by), legend, exemplars=histogram not in UNTRACED)

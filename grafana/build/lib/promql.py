"""Functions that write the PromQL of the panels: one for each form of expression."""

CHOSEN = ('job=~"$job"', 'instance=~"$instance"')


def series(metric: str, *matchers: str) -> str:
    """Return the selector of one metric of all processes."""
    return f"{metric}{{{', '.join(matchers)}}}" if matchers else metric


def chosen(metric: str, *matchers: str) -> str:
    """Return the selector of one metric of the processes that the reader chose."""
    return series(metric, *CHOSEN, *matchers)


def total(selector: str, *by: str) -> str:
    """Return the sum of a gauge."""
    return f"{_sum(by)} ({selector})"


def highest(selector: str, *by: str) -> str:
    """Return the greatest value of a gauge."""
    return f"max by ({', '.join(by)}) ({selector})"


def lowest(selector: str, *by: str) -> str:
    """Return the least value of a gauge."""
    return f"min by ({', '.join(by)}) ({selector})"


def per_second(selector: str, *by: str, window: str = "$__rate_interval") -> str:
    """Return the rate of a counter, a second."""
    return f"{_sum(by)} (rate({selector}[{window}]))"


def grown(selector: str, *by: str, window: str = "$__rate_interval") -> str:
    """Return the increase of a counter, for events so rare that their rate is unreadable."""
    return f"{_sum(by)} (increase({selector}[{window}]))"


def quantile(fraction: float, buckets: str, *by: str) -> str:
    """Return a quantile of a histogram; `buckets` selects its `_bucket` series."""
    return f"histogram_quantile({fraction}, {per_second(buckets, 'le', *by)})"


def mean(sums: str, counts: str, *by: str) -> str:
    """Return the mean duration; `sums` and `counts` select a histogram's `_sum` and `_count` series."""
    return f"{per_second(sums, *by)} / {per_second(counts, *by)}"


def part(some: str, all_of: str, *by: str, window: str = "$__rate_interval") -> str:
    """Return the rate of some series of a counter; 0 while only other series of the counter exist."""
    return f"({per_second(some, *by, window=window)} or 0 * {per_second(all_of, *by, window=window)})"


def share(some: str, all_of: str, *by: str, window: str = "$__rate_interval") -> str:
    """Return the share of a counter's rate that some of its series have; no value while the rate is 0."""
    return f"{part(some, all_of, *by, window=window)} / {per_second(all_of, *by, window=window)}"


def bound(seconds: float) -> str:
    """Return the matcher of one bucket, with the bound formatted as the services format it."""
    return f'le="{float(seconds)}"'


def _sum(by: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(by)})" if by else "sum"

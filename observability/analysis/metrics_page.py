"""Parser of a metrics page in OpenMetrics or in Prometheus' text format."""

from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

from observability.analysis.openmetrics import Labels, Scrape, parse_scrape

_END = "# EOF"


def parse_page(text: str) -> Scrape:
    """Parse OpenMetrics, or Prometheus' text format, which has no end marker and no exemplars; raises ValueError."""
    if text.rstrip().endswith(_END):
        return parse_scrape(text)
    samples: dict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name][tuple(sorted(sample.labels.items()))] = float(sample.value)
    return Scrape(dict(samples), ())

"""Parser of a metrics page in OpenMetrics or in Prometheus' text format."""

import re
from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

from observability.analysis.openmetrics import Labels, Scrape, parse_scrape

_END = "# EOF"
_EXEMPLAR = re.compile(r" # \{.*$", re.MULTILINE)


def parse_page(text: str) -> Scrape:
    """Parse OpenMetrics, or Prometheus' text format, which has no end marker and no exemplars; raises ValueError.

    A page of Micrometer may break a rule of OpenMetrics, as that no two families share a name; all else in it is right.
    """
    if text.rstrip().endswith(_END):
        try:
            return parse_scrape(text)
        except ValueError:
            text = _EXEMPLAR.sub("", text)
    samples: dict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name][tuple(sorted(sample.labels.items()))] = float(sample.value)
    return Scrape(dict(samples), ())

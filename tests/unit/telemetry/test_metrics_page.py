"""The page of metrics: OpenMetrics, or Prometheus's older text for a reader who takes that alone."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from observability.telemetry import setup

# What Prometheus 3 sends by default.
PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


@pytest.mark.parametrize("accept", ["", "*/*", PROMETHEUS, "text/html,application/xhtml+xml,*/*;q=0.8"])
def test_the_metrics_page_is_openmetrics(runtime: setup.Runtime, accept: str) -> None:
    body, content_type = runtime.render_metrics(accept=accept)
    assert content_type.startswith("application/openmetrics-text")
    assert list(parse_openmetrics(body.decode()))  # type: ignore[no-untyped-call]  # untyped


@pytest.mark.parametrize("accept", ["text/plain", "text/plain;version=0.0.4;q=1,*/*;q=0.1"])
def test_a_reader_of_text_gets_text(runtime: setup.Runtime, accept: str) -> None:
    body, content_type = runtime.render_metrics(accept=accept)
    assert content_type.startswith("text/plain; version=")
    assert list(parse_text(body.decode()))

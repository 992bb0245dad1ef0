"""Tests that no personal data leaves the Collector: a canary in each field that a sender may fill."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest

from tests.stack.collector import TO_FILE, Collector, collector
from tests.stack.foreign_spans import CLIENT, ERROR, ForeignSpan, send
from tests.stack.jaeger import Jaeger
from tests.stack.loki_stand_in import LokiStandIn, loki_stand_in
from tests.stack.processes import eventually, get

# A word that nothing else says; each place has one of its own, so that a leak names its place.
SECRET = "qzcanary"


def mail(place: str) -> str:
    return f"{SECRET}-{place}@example.org"


def attribute(name: str) -> ForeignSpan:
    return ForeignSpan(attributes={name: f"{SECRET}-{name}"})


FORBIDDEN_KEYS = (
    "client.address",
    "user_agent.original",
    "url.query",
    "url.path",
    "url.full",
    "enduser.id",
    "enduser.name",
)
SPANS = {name: attribute(name) for name in FORBIDDEN_KEYS} | {
    "an allowed attribute": ForeignSpan(attributes={"shop.outcome": mail("allowed")}),
    "an authorization header": ForeignSpan(attributes={"error.type": f"Bearer {SECRET}-bearer-token"}),
    "the name of a span": ForeignSpan(name=f"GET /customers/{mail('name')}"),
    "a query in the name of a span": ForeignSpan(name=f"GET /customers?name={SECRET}-query"),
    "the status of a span": ForeignSpan(status=ERROR, message=f"no customer {SECRET}-status"),
    "the event of a span": ForeignSpan(event_attributes={"exception.message": f"no customer {SECRET}-event"}),
    "the resource of a span": ForeignSpan(resource={"enduser.id": f"{SECRET}-resource"}),
    "the trace state": ForeignSpan(trace_state=f"vendor={SECRET}-state"),
    "the edge of a client": ForeignSpan(kind=CLIENT, attributes={"peer.service": f"{SECRET}-peer"}),
}
LINES: dict[str, dict[str, object]] = {
    "a forbidden key": {"client.address": f"{SECRET}-log-address"},
    "a key below another": {"request": {"url.query": f"{SECRET}-log-below"}},
    "a password": {"database_password": f"{SECRET}-log-password"},
    "a text": {"event": f"no mail for {mail('log-text')}"},
    "a list": {"recipients": [mail("log-list")]},
}


class Everywhere:
    """All output of one Collector: traces, logs, metrics, a file, and its own log."""

    def __init__(self, taken: Collector, search: Jaeger, loki: LokiStandIn, file: Path) -> None:
        self.traces = "".join(search.text(span.trace_id) for span in SPANS.values())
        self.texts = {
            "Jaeger": self.traces,
            "Loki": loki.text(),
            "the file": file.read_text(encoding="utf-8"),
            "the Collector's output": taken.output.read_text(encoding="utf-8"),
            "the metrics of spans": get(f"http://{taken.span_metrics}/metrics").decode(),
            "the Collector's metrics": get(f"http://{taken.metrics}/metrics").decode(),
        }


def send_all(taken: Collector, search: Jaeger, loki: LokiStandIn, file: Path) -> Everywhere:
    """Send every span and every line; return when all have come through."""
    lines = [{"event": "customer.seen", "level": "info", "service": "foreign", **line} for line in LINES.values()]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (taken.log_folder / "foreign.jsonl").write_text(text, encoding="utf-8")
    send(taken.otlp_http, list(SPANS.values()))
    wanted = {span.trace_id for span in SPANS.values()}
    eventually(lambda: wanted <= set(search.search("foreign")), what="all spans are in Jaeger")
    eventually(lambda: len(loki.records()) >= len(LINES), what="all lines are in Loki")
    eventually(
        lambda: taken.span_metric("traces_span_metrics_calls", service_name="foreign") >= len(SPANS), what="counts"
    )
    eventually(lambda: file.stat().st_size, what="the file is written")
    return Everywhere(taken, search, loki, file)


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory, search: Jaeger) -> Iterator[Everywhere]:
    folder = tmp_path_factory.mktemp("redacted")
    file = folder / "traces.jsonl"
    more = {"COLLECTOR_TRACES_FILE": str(file)}
    with (
        loki_stand_in() as loki,
        collector(folder, TO_FILE, jaeger=search.otlp, loki=loki.endpoint, more=more) as taken,
    ):
        yield send_all(taken, search, loki, file)


@pytest.mark.parametrize(
    "out", ["Jaeger", "Loki", "the file", "the Collector's output", "the metrics of spans", "the Collector's metrics"]
)
def test_no_canary_gets_out(everywhere: Everywhere, out: str) -> None:
    text = everywhere.texts[out]
    assert [text[max(0, at - 60) : at + 60] for at in [text.find(SECRET)] if at >= 0] == []


def test_harmless_attributes_pass(search: Jaeger, everywhere: Everywhere, tmp_path: Path) -> None:
    assert '"http.route"' not in everywhere.traces
    harmless = ForeignSpan(service="harmless", attributes={"http.route": "/things", "shop.outcome": "ok"})
    with collector(tmp_path, jaeger=search.otlp) as taken:
        send(taken.otlp_http, [harmless])
        spans = eventually(lambda: search.search("harmless").get(harmless.trace_id), what="the span is in Jaeger")
    tags = {tag["key"]: tag["value"] for tag in spans[0]["tags"]}
    assert (tags["http.route"], tags["shop.outcome"]) == ("/things", "ok")


def test_without_redaction_spans_have_personal_data(search: Jaeger, tmp_path: Path) -> None:
    """The search of the tests above finds a canary that is there."""
    without = tmp_path / "without.yaml"
    without.write_text("service: {pipelines: {traces/taken: {processors: [memory_limiter]}}}", encoding="utf-8")
    telling = [replace(span, service="telling", trace_id=token_hex(16)) for span in SPANS.values()]
    with collector(tmp_path, without, jaeger=search.otlp) as taken:
        send(taken.otlp_http, telling)
        wanted = {span.trace_id for span in telling}
        eventually(lambda: wanted <= set(search.search("telling")), what="all spans are in Jaeger")
    texts = {place: search.text(span.trace_id) for place, span in zip(SPANS, telling, strict=True)}
    assert [place for place, text in texts.items() if SECRET not in text] == []

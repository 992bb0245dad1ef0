"""Selection of the requests to one service or operation."""

from dataclasses import replace

import pytest

from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Requests
from observability.analysis.observation_folder import ObservationUnreadable
from observability.analysis.selection import select, services_of
from observability.analysis.spans import Span, SpanKind
from observability.analysis.trees import build_traces
from tests.unit.analysis.seeing import seen

CALLS = Requests(0, 1, 1.0, (0.5,))


def span(span_id: str, service: str, *, parent: str = "", name: str = "get", trace: str = "t") -> Span:
    return Span(trace, span_id, parent, name, SpanKind.SERVER, service, int(span_id, 16), 100)


TRACES = build_traces(
    [
        span("1", "web"),
        span("2", "shop", parent="1"),
        span("3", "shop", parent="2", name="inner"),
        span("4", "store", parent="3"),
        span("5", "shop", parent="1", name="list"),
        span("6", "web", trace="other"),
    ]
).traces
SEEN = replace(seen(), traces=TRACES, requests=CALLS)


def roots(service: str, operation: str = "") -> list[str]:
    return [trace.roots[0].span.span_id for trace in select(SEEN, service=service, operation=operation).traces]


def test_a_request_is_each_span_that_enters_the_service() -> None:
    assert sorted(roots("shop")) == ["2", "5"]
    assert roots("store") == ["4"]
    assert roots("shop", "list") == ["5"]


def test_roots_of_traces_stay_if_clients_measured_latency() -> None:
    selected = select(SEEN, service="web")
    assert (selected.traces, selected.requests) == (TRACES, CALLS)
    assert select(SEEN, service="shop").requests is None


def test_a_selected_trace_is_whole_and_counts_its_own_spans() -> None:
    [trace] = [each for each in select(SEEN, service="shop").traces if each.roots[0].span.span_id == "2"]
    assert (trace.whole, trace.spans) == (True, 3)
    assert diagnose(select(SEEN, service="shop")).requests == 2


def test_an_orphan_may_be_a_request() -> None:
    orphan = build_traces([span("2", "shop", parent="9"), span("3", "store", parent="8")]).traces
    [trace] = select(replace(seen(), traces=orphan), service="shop").traces
    assert ([node.span.span_id for node in trace.roots], len(trace.orphans)) == (["2"], 1)


def test_what_does_not_exist_is_said_with_what_does() -> None:
    assert services_of(SEEN) == ("shop", "store", "web")
    with pytest.raises(ObservationUnreadable, match="no service 'shp'; there are shop, store, web: "):
        select(SEEN, service="shp")
    with pytest.raises(ObservationUnreadable, match="no operation 'put' of shop; there are get, list: "):
        select(SEEN, service="shop", operation="put")

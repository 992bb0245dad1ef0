"""Selection of the traces that are requests, by operation, and what is said about the others."""

from dataclasses import replace

import pytest

from observability.analysis.entries import Entries, find_entries
from observability.analysis.spans import Attribute, SpanKind, SpanStatus
from observability.analysis.trees import Node, Trace
from tests.each import for_each
from tests.unit.analysis.seeing import call, query, seen, serve, step

HEALTH_CHECKS = (
    "GET /healthz", "/health", "GET /api/health/ready", "/metrics", "GET /actuator/prometheus", "/livez", "GET /ping",
    "grpc.health.v1.Health/Check", "http://127.0.0.1:80/-/ready", "GET /favicon.ico", "HTTP GET /health?full=1",
)  # fmt: skip
NO_HEALTH_CHECKS = (
    "GET /health-insurance", "GET /orders/status", "POST /api/v1/metrics/query", "GET /users/ready", "/healthy-food/7",
    "shop.Delivery/Ping", "GET /",
)  # fmt: skip
OPEN: list[dict[str, Attribute]] = [
    {"http.status_code": 101},
    {"http.response.header.content-type": ["text/event-stream"]},
]
STREAMS = ("GET /events", "GET /ws", "flagd.evaluation.v1.Service/EventStream", "etcd.Watch/Watch", "/orders/stream")


# --- What is a request ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SpanKind.CONSUMER, SpanKind.PRODUCER])
def test_a_trace_begun_by_a_message_is_no_request(kind: SpanKind) -> None:
    assert _names(step("work", 0, 100, kind=kind), step("run", 0, 1)) == ["run"]


def test_where_servers_began_traces_a_workers_are_left_out() -> None:
    entries = _entries(call("send", 0, 100), step("sweep", 0, 100), serve("GET /", 0, 1))
    assert _roots(entries) == ["GET /"]
    assert entries.reasons == ("2 traces of background work are left out: 'send' of shop, 'sweep' of shop",)


def test_without_servers_whatever_began_counts() -> None:
    assert _names(step("run", 0, 5), call("send", 0, 4)) == ["run", "send"]


def test_a_load_generator_begins_requests() -> None:
    """A few server roots beside many clients that reach a server are other people's requests."""
    requests = [call("POST", 0, 9, serve("POST /orders", 1, 8, service="edge")) for _ in range(20)]
    assert _names(*requests, serve("GET /", 0, 1)) == ["POST"] * 20 + ["GET /"]


# --- Health checks and streams ----------------------------------------------------------------------------------------


@for_each(HEALTH_CHECKS)
def test_health_checks_are_left_out(name: str) -> None:
    """However many there are, and however long they take."""
    entries = _entries(*[serve(name, 0, 900)] * 50, serve("POST /orders", 0, 7))
    assert _roots(entries) == ["POST /orders"]
    assert entries.reasons[0].startswith("50 health checks and scrapes of metrics are left out: ")


@for_each(NO_HEALTH_CHECKS)
def test_other_operations_are_none(name: str) -> None:
    assert _names(serve(name, 0, 9), serve("POST /orders", 0, 7)) == [name, "POST /orders"]


def test_a_probe_is_recognised_by_its_agent() -> None:
    probe = step("GET /", 0, 1, kind=SpanKind.SERVER, attributes={"user_agent.original": "kube-probe/1.31"})
    assert _names(probe, serve("GET /x", 0, 1)) == ["GET /x"]


def test_where_all_are_health_checks_they_count() -> None:
    assert _names(serve("GET /health", 0, 9)) == ["GET /health"]


@for_each(STREAMS)
def test_streams_are_left_out_by_name_and_duration(name: str) -> None:
    entries = _entries(serve(name, 0, 4_000), serve(name, 0, 90_000), serve("POST /orders", 0, 7))
    assert _roots(entries) == ["POST /orders"]
    assert entries.reasons == (f"2 long-polls and streams are left out: {name!r} of shop",)


@for_each(STREAMS)
def test_fast_requests_of_such_a_name_stay(name: str) -> None:
    assert _names(serve(name, 0, 40), serve("POST /orders", 0, 7)) == [name, "POST /orders"]


def test_streams_whose_work_is_recorded_stay() -> None:
    assert _names(serve("GET /events", 0, 4_000, query("SELECT", 1, 3_000)), serve("GET /", 0, 1))[0] == "GET /events"


@for_each(OPEN)
def test_open_connections_are_recognised_by_their_answer(attributes: dict[str, Attribute]) -> None:
    socket = step("GET /", 0, 40, kind=SpanKind.SERVER, attributes=attributes)
    assert _names(socket, serve("GET /x", 0, 1)) == ["GET /x"]


def test_long_polls_are_recognised_by_their_timeout() -> None:
    polls = [serve("GET /inbox", 0, 30_000), serve("GET /inbox", 0, 30_010), serve("GET /inbox", 0, 8_000)]
    assert _names(*polls, serve("GET /x", 0, 1)) == ["GET /x"]


def test_calls_that_fail_at_a_timeout_are_no_long_polls() -> None:
    poll = serve("GET /inbox", 0, 30_000)
    failed = Node(replace(poll.span, status=SpanStatus.ERROR), ())
    assert _names(*[failed] * 3, serve("GET /x", 0, 1)) == ["GET /inbox"] * 3 + ["GET /x"]


def test_slow_work_is_no_long_poll() -> None:
    slow = [serve("GET /report", 0, end) for end in (6_000, 9_000, 14_000)]
    assert _names(*slow, serve("GET /x", 0, 1))[:3] == ["GET /report"] * 3


# --- Parents that are not recorded ------------------------------------------------------------------------------------


def test_requests_may_have_a_parent_that_no_one_recorded() -> None:
    entries = find_entries([_trace(number, orphans=[serve("GET /", 0, 5)]) for number in range(3)])
    assert _roots(entries) == ["GET /"] * 3
    assert entries.reasons == ("3 requests begin with a call from a system that is not recorded",)
    assert entries.broken_share == 0


def test_a_sampled_front_is_the_parent_of_a_part() -> None:
    """Where a front records one request in ten, its requests and the others are complete."""
    entries = find_entries(
        [
            *(_trace(number, orphans=[serve("GET /", 0, 5)]) for number in range(9)),
            _trace(9, serve("GET /shop", 0, 9, call("GET", 1, 8, serve("GET /", 2, 7)), service="front")),
        ]
    )
    assert _roots(entries) == ["GET /"] * 9 + ["GET /shop"]


def test_one_page_may_make_several_requests_in_one_trace() -> None:
    orphans = [[serve("GET /a", 0, 5), serve("GET /b", 1, 5)]] * 10
    entries = find_entries([_trace(number, orphans=pair) for number, pair in enumerate(orphans)])
    assert _roots(entries) == ["GET /a", "GET /b"] * 10


def test_a_server_span_whose_client_is_usually_recorded_has_lost_its_parent() -> None:
    whole = [_trace(number, _front()) for number in range(10)]
    entries = find_entries([*whole, _trace(10, orphans=[serve("answer", 2, 8, service="back")])])
    assert _roots(entries) == ["GET /"] * 10
    assert entries.broken_share == pytest.approx(1 / 11)


def test_traces_without_parents_may_have_no_kinds_either() -> None:
    entries = find_entries([_trace(number, orphans=[step("GET /", 0, 5)]) for number in range(3)])
    assert _roots(entries) == ["GET /"] * 3


# --- Broken traces ----------------------------------------------------------------------------------------------------


def test_broken_traces_of_one_operation_do_not_spoil_another() -> None:
    """All traces of one lost spans, and three of five of another."""
    lost = step("inner", 0, 1)
    entries = find_entries(
        [
            *(_trace(number, serve("GET /", 0, 5)) for number in range(10)),
            *(_trace(number, serve("PUT /", 0, 5), orphans=[lost]) for number in range(10, 40)),
            *(_trace(number, serve("POST /", 0, 5, lost)) for number in range(40, 42)),
            *(_trace(number, serve("POST /", 0, 5), orphans=[lost]) for number in range(42, 45)),
        ]
    )
    assert _roots(entries) == ["GET /"] * 10
    assert entries.reasons == (
        "60% of the traces of 'POST /' of shop lack spans, and are left out",
        "100% of the traces of 'PUT /' of shop lack spans, and are left out",
    )
    assert entries.broken_share == 0


def test_a_trace_without_a_root_counts_against_its_usual_operation() -> None:
    entries = find_entries(
        [
            *(_trace(number, serve("GET /", 0, 5)) for number in range(10)),
            *(_trace(number, _front(name="POST /")) for number in range(10, 12)),
            *(_trace(number, orphans=[call("ask", 1, 9)]) for number in range(12, 15)),
        ]
    )
    assert entries.reasons == ("60% of the traces of 'POST /' of shop lack spans, and are left out",)


def test_of_a_trace_with_several_roots_none_counts() -> None:
    twice = Trace("t", (serve("GET /", 0, 1), serve("GET /", 2, 3)), (), 2)
    assert (
        _roots(find_entries([twice, _trace(1, serve("GET /", 0, 1)), _trace(2, serve("GET /", 0, 1))])) == ["GET /"] * 2
    )


def test_a_consumer_that_lost_its_producer_breaks_no_request() -> None:
    entries = find_entries([_trace(0, serve("GET /", 0, 5), orphans=[step("work", 9, 10, kind=SpanKind.CONSUMER)])])
    assert (_roots(entries), entries.broken_share) == (["GET /"], 0)


def test_a_span_that_is_its_own_ancestor_begins_nothing() -> None:
    ring = serve("GET /", 0, 5)
    ring = Node(replace(ring.span, parent_span_id=ring.span.span_id), ())
    assert _roots(find_entries([Trace("t", (), (ring,), 1)])) == []


def _front(name: str = "GET /") -> Node:
    return serve(name, 0, 10, call("ask", 1, 9, serve("answer", 2, 8, service="back")))


def _trace(number: int, *roots: Node, orphans: list[Node] | None = None) -> Trace:
    lost = [Node(replace(each.span, parent_span_id="unknown"), each.children) for each in orphans or []]
    return Trace(f"trace {number}", roots, tuple(lost), sum(1 for top in (*roots, *lost) for _ in top.walk()))


def _entries(*roots: Node) -> Entries:
    return find_entries(seen(*roots).traces)


def _roots(entries: Entries) -> list[str]:
    return [root.span.name for root in entries.roots]


def _names(*roots: Node) -> list[str]:
    return _roots(_entries(*roots))

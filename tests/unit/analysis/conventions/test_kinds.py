"""Kinds of spans that record none, found out by the attributes of many instrumentations and by their neighbours."""

from dataclasses import dataclass, field, replace

import pytest

from observability.analysis.entries import find_entries
from observability.analysis.spans import Attribute, Span, SpanKind
from observability.analysis.trees import build_traces
from tests.each import for_each

UNSAID = (SpanKind.UNSPECIFIED, SpanKind.INTERNAL)


@dataclass(frozen=True, slots=True)
class Told:
    """The attributes of a span, and the kind that they tell of a leaf, and of a span that nothing recorded called.

    leaf: below a span of the same service.
    top: without a parent.
    """

    attributes: dict[str, Attribute] = field(hash=False)
    leaf: SpanKind | None = None
    top: SpanKind | None = None


# `None`: nothing is told, so that the span keeps what it has.
CONVENTIONS = {
    "nothing": Told({}),
    "something of its own": Told({"customer": 7}),
    "OpenTracing client": Told({"span.kind": "client"}, SpanKind.CLIENT, SpanKind.CLIENT),
    "OpenTracing server": Told({"span.kind": "server"}, SpanKind.SERVER, SpanKind.SERVER),
    "OpenTracing consumer": Told({"span.kind": "consumer"}, SpanKind.CONSUMER, SpanKind.CONSUMER),
    "OpenTracing of an unknown kind": Told({"span.kind": "local"}),
    "Datadog server": Told({"span.type": "web"}, SpanKind.SERVER, SpanKind.SERVER),
    "Datadog client": Told({"span.type": "http"}, SpanKind.CLIENT, SpanKind.CLIENT),
    "Datadog statement": Told({"span.type": "sql"}, SpanKind.CLIENT, SpanKind.CLIENT),
    "HTTP server": Told({"http.request.method": "GET", "http.route": "/a", "url.path": "/a"}, None, SpanKind.SERVER),
    "HTTP server before 2023": Told({"http.method": "GET", "http.target": "/a"}, None, SpanKind.SERVER),
    "HTTP client": Told({"http.request.method": "GET", "url.full": "http://b/a"}, SpanKind.CLIENT),
    "HTTP client before 2023": Told({"http.method": "GET", "http.url": "http://b/a"}, SpanKind.CLIENT),
    "RPC": Told({"rpc.system": "grpc", "rpc.method": "Get"}, SpanKind.CLIENT, SpanKind.SERVER),
    "a mesh's client": Told({"component": "proxy", "peer.address": "10.0.0.1"}, SpanKind.CLIENT),
    "a peer": Told({"peer.service": "orders"}, SpanKind.CLIENT),
    "OpenTelemetry statement": Told({"db.system.name": "mysql"}, SpanKind.CLIENT, SpanKind.CLIENT),
    "OpenTelemetry statement before 2025": Told({"db.system": "mysql"}, SpanKind.CLIENT, SpanKind.CLIENT),
    "OpenTracing statement": Told({"db.type": "sql", "component": "java-jdbc"}, SpanKind.CLIENT, SpanKind.CLIENT),
    "HotROD's statement": Told({"sql.query": "SELECT 1", "peer.service": "mysql"}, SpanKind.CLIENT, SpanKind.CLIENT),
    "a message received": Told(
        {"messaging.system": "kafka", "messaging.operation.type": "process"}, SpanKind.CONSUMER, SpanKind.CONSUMER
    ),
    "a message sent": Told(
        {"messaging.system": "rabbitmq", "messaging.operation": "publish"}, SpanKind.PRODUCER, SpanKind.PRODUCER
    ),
    "a message of OpenTracing": Told(
        {"message_bus.destination": "orders", "span.kind": "producer"}, SpanKind.PRODUCER, SpanKind.PRODUCER
    ),
}


@pytest.mark.parametrize("unsaid", UNSAID)
def test_a_leaf_is_of_the_kind_that_its_attributes_tell(unsaid: SpanKind) -> None:
    for name, told in CONVENTIONS.items():
        kinds = _kinds(_span("1", kind=SpanKind.SERVER), _span("2", "1", kind=unsaid, attributes=told.attributes))
        assert kinds["2"] is (unsaid if told.leaf is None else told.leaf), name


@pytest.mark.parametrize("unsaid", UNSAID)
def test_a_root_is_of_the_kind_that_its_attributes_tell(unsaid: SpanKind) -> None:
    for name, told in CONVENTIONS.items():
        kinds = _kinds(_span("1", kind=unsaid, attributes=told.attributes), _span("2", "1", kind=SpanKind.CLIENT))
        wanted = unsaid if told.top is None else told.top
        # A statement that calls something in its own service is the function around it.
        assert kinds["1"] is (unsaid if "statement" in name and "Datadog" not in name else wanted), name


@for_each(UNSAID)
def test_a_span_that_another_service_called_is_a_servers(unsaid: SpanKind) -> None:
    """And the span that only calls it is a client's."""
    kinds = _kinds(
        _span("1", kind=unsaid),
        _span("2", "1", kind=unsaid),
        _span("3", "2", kind=unsaid, service="other"),
        _span("4", "3", kind=unsaid, service="other"),
    )
    assert kinds == {"1": unsaid, "2": SpanKind.CLIENT, "3": SpanKind.SERVER, "4": unsaid}


def test_a_statement_of_another_service_is_a_call() -> None:
    """Some systems name the database as the service of its statements."""
    statement = _span("2", "1", kind=SpanKind.UNSPECIFIED, service="mysql", attributes={"db.type": "sql"})
    assert _kinds(_span("1", kind=SpanKind.SERVER), statement)["2"] is SpanKind.CLIENT


@for_each(UNSAID)
def test_a_span_that_works_itself_is_no_call(unsaid: SpanKind) -> None:
    kinds = _kinds(
        _span("1", kind=SpanKind.SERVER),
        _span("2", "1", kind=unsaid),
        _span("3", "2", kind=SpanKind.SERVER, service="other"),
        _span("4", "2", kind=SpanKind.CLIENT),
        _span("5", "1", kind=unsaid),
        _span("6", "5", kind=SpanKind.SERVER, service="other"),
        _span("7", "5", kind=SpanKind.SERVER, service="other"),
    )
    assert (kinds["2"], kinds["5"]) == (unsaid, unsaid)


@for_each(UNSAID)
def test_messages_have_two_ends(unsaid: SpanKind) -> None:
    """Where one end tells its kind the other end is of the other."""
    sent = _span("2", "1", kind=SpanKind.PRODUCER)
    assert _kinds(_span("1"), sent, _span("3", "2", kind=unsaid, service="other"))["3"] is SpanKind.CONSUMER
    received = _span("3", "2", kind=SpanKind.CONSUMER, service="other")
    assert _kinds(_span("1"), replace(sent, kind=unsaid), received)["2"] is SpanKind.PRODUCER


def test_a_statement_that_two_libraries_record_counts_once() -> None:
    """An ORM and its driver."""
    asked: dict[str, Attribute] = {"db.system": "postgresql", "db.statement": "SELECT a FROM t WHERE b = 1"}
    other: dict[str, Attribute] = {"db.system": "postgresql", "db.statement": "SELECT 1"}
    kinds = _kinds(
        _span("1"),
        _span("2", "1", kind=SpanKind.CLIENT, attributes=asked),
        _span("3", "2", kind=SpanKind.CLIENT, attributes=asked),
        _span("4", "1", kind=SpanKind.CLIENT, attributes={"db.system": "postgresql"}),
        _span("5", "4", kind=SpanKind.CLIENT, attributes=other),
    )
    assert [kinds[each] for each in "2345"] == [SpanKind.INTERNAL, *[SpanKind.CLIENT] * 3]


def test_a_request_below_one_that_has_ended_begins_anew() -> None:
    """Some servers keep the context of a connection, so that each request looks like a child of the last."""
    web: dict[str, Attribute] = {"http.method": "GET", "http.target": "/a"}
    spans = [
        replace(_span(f"{n}", f"{n - 1}" if n > 1 else "", kind=SpanKind.INTERNAL, attributes=web), start_nanoseconds=n)
        for n in range(1, 6)
    ]
    chained = [replace(span, start_nanoseconds=n * 10, end_nanoseconds=n * 10 + 9) for n, span in enumerate(spans)]
    within = Span("t", "6", "5", "work", SpanKind.INTERNAL, "shop", 41, 48, {})
    [trace] = build_traces([*chained, within]).traces
    assert [(root.span.span_id, root.span.kind, len(root.children)) for root in trace.roots] == [
        *((str(number), SpanKind.SERVER, 0) for number in range(1, 5)),
        ("5", SpanKind.SERVER, 1),
    ]
    assert len(find_entries([trace]).roots) == 5


@for_each([kind for kind in SpanKind if kind not in UNSAID])
def test_what_a_span_records_is_kept(kind: SpanKind) -> None:
    kinds = _kinds(_span("1", kind=kind, attributes={"span.kind": "client"}), _span("2", "1", kind=kind, service="b"))
    assert kinds == {"1": kind, "2": kind}


def _span(
    span_id: str,
    parent: str = "",
    *,
    kind: SpanKind = SpanKind.SERVER,
    service: str = "shop",
    attributes: dict[str, Attribute] | None = None,
) -> Span:
    return Span("t", span_id, parent, "work", kind, service, int(span_id), 100 - int(span_id), attributes or {})


def _kinds(*spans: Span) -> dict[str, SpanKind]:
    [trace] = build_traces(spans).traces
    return {node.span.span_id: node.span.kind for top in (*trace.roots, *trace.orphans) for node in top.walk()}

"""Span kinds, inferred where a span records none: from its attributes, and from where a trace enters a service.

Older exporters record no kind, and INTERNAL is the default of OpenTelemetry's API, so neither is evidence. A span's own
attributes decide first, then its neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from observability.analysis.conventions.attributes import text_of
from observability.analysis.conventions.database import looks_like_database_call, summary_of
from observability.analysis.spans import Span, SpanKind

# OpenTracing, and the translations of Zipkin and Datadog into OTLP.
_TAGS = ("span.kind",)
_TAGGED = {kind.name.lower(): kind for kind in SpanKind if kind > SpanKind.INTERNAL}
# Datadog, whose `span.type` tells what a span is about.
_TYPES = ("span.type",)
_TYPED = {
    "web": SpanKind.SERVER, "http": SpanKind.CLIENT, "sql": SpanKind.CLIENT, "db": SpanKind.CLIENT,
    "cache": SpanKind.CLIENT, "redis": SpanKind.CLIENT, "memcached": SpanKind.CLIENT, "mongodb": SpanKind.CLIENT,
    "elasticsearch": SpanKind.CLIENT, "cassandra": SpanKind.CLIENT,
}  # fmt: skip
_MESSAGING = ("messaging.system", "messaging.destination.name", "messaging.destination", "message_bus.destination")
_MESSAGE_OPERATIONS = ("messaging.operation.type", "messaging.operation.name", "messaging.operation")
_MESSAGED = {
    "process": SpanKind.CONSUMER, "receive": SpanKind.CONSUMER, "deliver": SpanKind.CONSUMER, "poll": SpanKind.CONSUMER,
    "publish": SpanKind.PRODUCER, "send": SpanKind.PRODUCER, "create": SpanKind.PRODUCER,
}  # fmt: skip
# Attributes that only servers record of a request: its route, and its path without the host.
_SERVED = ("http.route", "http.server_name", "url.path", "http.target", "http.host")
# Attributes that only clients record: the whole URL, and the called service or address.
_CALLED = ("url.full", "http.url", "url.template", "peer.service", "server.address", "net.peer.name", "peer.address")
_RPC = ("rpc.system.name", "rpc.system", "rpc.method", "grpc.method")
_WEB = ("http.request.method", "http.method")

Children = Mapping[str, Sequence[Span]]


def with_kinds(spans: Sequence[Span], by_id: Mapping[str, Span], children: Children) -> dict[str, Span]:
    """Return the spans of a trace whose kind is inferred, by id; `children` are by their parent's id."""
    found = {}
    for span in spans:
        below = children.get(span.span_id, ())
        if span.kind <= SpanKind.INTERNAL:
            kind = _kind(span, by_id.get(span.parent_span_id), below)
        elif span.kind is SpanKind.CLIENT and below and _is_wrapper(span, below):
            kind = SpanKind.INTERNAL
        else:
            continue
        if kind is not span.kind:
            found[span.span_id] = replace(span, kind=kind)
    return found


def begins_request(span: Span, parent: Span) -> bool:
    """Return whether a span begins a request of its own, though its parent is of the same service.

    A server that keeps the context of a connection makes each request the child of a span of the one before.
    """
    return (
        span.start_nanoseconds > parent.end_nanoseconds
        and span.service == parent.service
        and span.kind <= SpanKind.SERVER
        and _is_served(span)
    )


def _is_wrapper(span: Span, children: Sequence[Span]) -> bool:
    """Return whether a call of a database only wraps the same call of a library below, such as an ORM's of a driver."""
    if not looks_like_database_call(span):
        return False
    below = [child for child in children if child.service == span.service and looks_like_database_call(child)]
    return any(summary_of(child) == summary_of(span) for child in below)


def _kind(span: Span, parent: Span | None, children: Sequence[Span]) -> SpanKind:
    if span.attributes and (told := _kind_by_attributes(span)):
        return told
    is_local = parent is not None and parent.service == span.service and not begins_request(span, parent)
    own = any(child.service == span.service for child in children)
    if not own and span.attributes and looks_like_database_call(span):
        return SpanKind.CLIENT
    if parent is not None and parent.service != span.service:
        return SpanKind.CONSUMER if _known(parent) is SpanKind.PRODUCER else SpanKind.SERVER
    if own or not is_local:
        # A span with work of its own below it calls no one itself; one that nothing in its service called was entered.
        return SpanKind.SERVER if not is_local and _is_served(span) else span.kind
    if len(children) == 1:
        return SpanKind.PRODUCER if _known(children[0]) is SpanKind.CONSUMER else SpanKind.CLIENT
    return SpanKind.CLIENT if not children and _calls(span) else span.kind


def _known(span: Span) -> SpanKind | None:
    return span.kind if span.kind > SpanKind.INTERNAL else _kind_by_attributes(span)


def _kind_by_attributes(span: Span) -> SpanKind | None:
    """Return the kind that a span's attributes name."""
    if tag := text_of(span, _TAGS):
        return _TAGGED.get(tag.lower().removeprefix("span_kind_"))
    if text_of(span, _MESSAGING):
        return _MESSAGED.get(text_of(span, _MESSAGE_OPERATIONS).lower())
    return _TYPED.get(text_of(span, _TYPES).lower())


def _is_served(span: Span) -> bool:
    """Return whether a span that nothing recorded called has the attributes of a server."""
    if text_of(span, _RPC):
        return True
    return bool(text_of(span, _SERVED) or (text_of(span, _WEB) and not text_of(span, _CALLED)))


def _calls(span: Span) -> bool:
    """Return whether a span without children has the attributes of a call."""
    if text_of(span, _CALLED) or text_of(span, _RPC):
        return True
    return bool(text_of(span, _WEB)) and not text_of(span, _SERVED)

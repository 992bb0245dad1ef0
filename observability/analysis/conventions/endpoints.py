"""Recognises endpoints that are not requests of users: health checks, scrapes, and connections that stay open."""

import re

from observability.analysis.conventions.attributes import text_of
from observability.analysis.conventions.operations import operation_of
from observability.analysis.spans import Span

_PATHS = ("http.route", "url.path", "http.target", "url.full", "http.url")
_METHODS = ("rpc.method", "grpc.method")
_AGENTS = ("user_agent.original", "http.user_agent")
_PROBE = re.compile(
    r"""
    (?:^|[\s/.])(?:health|healthz|health[-_]?checks?|livez|liveness|readyz|readiness|startupz|heartbeat)(?:/[\w.-]*)?$
    | (?:^|\s|://[^/]*)/(?:(?:actuator|admin|api|debug|internal|management|server|system|q|-|_)/)?
      (?:alive|favicon\.ico|healthy|live|metrics|ping|prometheus|ready|robots\.txt|status|statusz|up)$
    | (?:^|[./])Health(?:Check)?/\w+$ | \bserverreflection\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PROBING = re.compile(r"kube-probe|prometheus/|healthcheck|health check|googlehc|blackbox|vmagent", re.IGNORECASE)
# The name alone does not prove it, only the duration does: a newsletter has a Subscribe, too.
_STREAM = re.compile(
    r"""
    (?:^|[\s/._-])(?:event|listen|live|long[-_]?poll|poll|socket\.io|sse|stream|subscribe|tail|update|
      watch|websocket|ws)s?(?:$|[\s/_-])
    | (?:^|[/.])(?:Listen|Poll|Stream|Subscribe|Tail|Watch)(?![a-z]) | (?<=[a-z])(?:Stream|Poll|Updates)$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SWITCHED_PROTOCOLS = 101
_STATUS = ("http.response.status_code", "http.status_code")
_CONTENT_TYPES = ("http.response.header.content-type", "http.response.header.content_type")


def is_probe(span: Span) -> bool:
    """Return whether a server span is a health check, a scrape of metrics, or gRPC server reflection."""
    if (agent := text_of(span, _AGENTS)) and _PROBING.search(agent):
        return True
    return any(_PROBE.search(name.split("?", 1)[0]) for name in _names(span))


def may_stay_open(span: Span) -> bool:
    """Return whether the name of an operation is one of a stream, a subscription or a long-poll."""
    return any(map(_STREAM.search, _names(span)))


def stays_open(span: Span) -> bool:
    """Return whether an HTTP span records that its connection stayed open: a WebSocket, or an event stream."""
    if any(span.attributes.get(name) in {_SWITCHED_PROTOCOLS, str(_SWITCHED_PROTOCOLS)} for name in _STATUS):
        return True
    return any("event-stream" in str(span.attributes.get(name, "")) for name in _CONTENT_TYPES)


def _names(span: Span) -> tuple[str, ...]:
    named = (operation_of(span), text_of(span, _PATHS), text_of(span, _METHODS))
    return tuple(name for name in named if name)

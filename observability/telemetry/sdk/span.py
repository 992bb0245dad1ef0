"""A recording span: attributes, events, links and a status, kept as they were given until the span is exported."""

import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from time import time_ns
from types import TracebackType
from typing import Protocol

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AnyValue, Attributes

from observability.telemetry.sdk.limits import SpanLimits

# Values of these types are immutable, and are kept as they are.
PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
TEXT = frozenset({str})
UNSET = Status(StatusCode.UNSET)
LOG = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """What happened at one moment of a span.

    name: the event's name.
    timestamp: when, in nanoseconds since 1970.
    attributes: its attributes, which know how many were dropped.
    """

    name: str
    timestamp: int
    attributes: BoundedAttributes


class Processor(Protocol):
    """Takes the spans that end."""

    def on_end(self, span: "RecordingSpan", /) -> None:
        """Take a span; called by the code that ends it, so it must not block."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export the spans that were taken; return whether that was done in time."""

    def shutdown(self, timeout_millis: int = 30_000) -> bool:
        """Flush, and take no more spans; return whether that was done in time."""


@dataclass(slots=True, eq=False)
class SpanSource:
    """What the spans of one tracer have in common.

    resource: the process that is described.
    scope: name and version of the instrumented library.
    limits: limits of each span.
    processors: take the spans that end; the provider may add some.
    """

    resource: Resource
    scope: InstrumentationScope
    limits: SpanLimits
    processors: Sequence[Processor]


class RecordingSpan(Span):
    """A sampled span. Its fields are read when it is exported, and change no more once it has ended.

    Attributes may be set by several threads. Only the thread or task that started the span may end it.
    """

    __slots__ = (
        "_record_exception",
        "_set_status_on_exception",
        "attributes",
        "context",
        "dropped_attributes",
        "dropped_events",
        "dropped_links",
        "end_time",
        "events",
        "kind",
        "links",
        "name",
        "parent",
        "source",
        "start_time",
        "status",
    )

    def __init__(
        self,
        source: SpanSource,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Attributes,
        links: Sequence[Link] | None,
        start_time: int | None,
        record_exception: bool,
        set_status_on_exception: bool,
    ) -> None:
        self.source = source
        self.name = name
        self.context = context
        self.parent = parent
        self.kind = kind
        self.attributes: dict[str, AnyValue] = {}
        self.dropped_attributes = 0
        self.events: Sequence[SpanEvent] = ()
        self.dropped_events = 0
        self.links: Sequence[Link] = ()
        self.dropped_links = 0
        self.status = UNSET
        self.end_time: int | None = None
        self._record_exception = record_exception
        self._set_status_on_exception = set_status_on_exception
        if attributes:
            if len(attributes) <= source.limits.attributes and self._are_plain(attributes):
                self.attributes = dict(attributes)
            else:
                self.set_attributes(attributes)
        for link in links or ():
            self.add_link(link.context, link.attributes)
        self.start_time = time_ns() if start_time is None else start_time

    def get_span_context(self) -> SpanContext:
        """Return the ids of the span."""
        return self.context

    def is_recording(self) -> bool:
        """Return whether the span has not ended."""
        return self.end_time is None

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Set an attribute; a value of another type than OpenTelemetry's is set as text."""
        if self._has_ended():
            return
        limits = self.source.limits
        if not key or not isinstance(key, str):
            self.dropped_attributes += 1
        elif type(value) in PLAIN and limits.value_length is None:
            self._put(key, value)
        else:
            self._put(key, BoundedAttributes(attributes={key: value}, max_value_len=limits.value_length)[key])

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Set attributes; those without a key are dropped."""
        if self._has_ended():
            return
        if not self._are_plain(attributes):
            attributes = BoundedAttributes(attributes=attributes, max_value_len=self.source.limits.value_length)
            self.dropped_attributes += attributes.dropped
        for key, value in attributes.items():
            self._put(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event, now or at `timestamp` in nanoseconds since 1970."""
        if self._has_ended():
            return
        limits = self.source.limits
        kept = BoundedAttributes(limits.event_attributes, attributes, max_value_len=limits.nested_value_length)
        events = deque(self.events, maxlen=limits.events)
        self.dropped_events += len(events) == limits.events
        events.append(SpanEvent(name, time_ns() if timestamp is None else timestamp, kept))
        self.events = events

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Add a link to another span; one that names no span and says nothing is left out."""
        if self._has_ended() or not (context.is_valid or attributes or context.trace_state):
            return
        limits = self.source.limits
        kept = BoundedAttributes(limits.link_attributes, attributes, max_value_len=limits.nested_value_length)
        links = deque(self.links, maxlen=limits.links)
        self.dropped_links += len(links) == limits.links
        links.append(Link(context, kept))
        self.links = links

    def update_name(self, name: str) -> None:
        """Replace the name."""
        if not self._has_ended():
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status, unless it is OK, which is final; UNSET changes nothing."""
        if self._has_ended():
            return
        if isinstance(status, StatusCode):
            status = Status(status, description)
        if not status.is_unset and self.status.status_code is not StatusCode.OK:
            self.status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an event that holds an exception's type, message and stack."""
        kind = type(exception)
        module = "" if kind.__module__ in {"", "builtins"} else f"{kind.__module__}."
        described = {
            "exception.type": module + kind.__qualname__,
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**described, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End the span, now or at `end_time` in nanoseconds since 1970, and pass it to the processors."""
        if self._has_ended():
            return
        self.end_time = time_ns() if end_time is None else end_time
        for processor in self.source.processors:
            processor.on_end(self)

    def note(self, error: BaseException, *, escaped: bool = False) -> None:
        """Record an exception that left the span's block as an event and as its status, as its starter chose."""
        if self._record_exception:
            self.record_exception(error, escaped=escaped)
        if self._set_status_on_exception:
            self.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        if error is not None and self.is_recording():
            self.note(error, escaped=True)
        self.end()

    def _are_plain(self, attributes: Mapping[str, AnyValue]) -> bool:
        return (
            self.source.limits.value_length is None
            and PLAIN.issuperset(map(type, attributes.values()))
            and TEXT.issuperset(map(type, attributes))
            and "" not in attributes
        )

    def _put(self, key: str, value: AnyValue) -> None:
        attributes, limit = self.attributes, self.source.limits.attributes
        if key in attributes:
            del attributes[key]  # the newest attributes are last, for the limit drops the oldest
        elif len(attributes) >= limit:
            self.dropped_attributes += 1
            if not limit:
                return
            del attributes[next(iter(attributes))]
        attributes[key] = value

    def _has_ended(self) -> bool:
        if self.end_time is None:
            return False
        LOG.warning("A span that has ended was changed or ended again.")
        return True

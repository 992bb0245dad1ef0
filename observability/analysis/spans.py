"""Spans, links and their attributes, as read from a trace."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")

Attribute = str | bool | int | float | bytes | None | list["Attribute"] | dict[str, "Attribute"]


class SpanKind(IntEnum):
    """The role of a span in an operation; the numbers are OTLP's."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class SpanStatus(IntEnum):
    """The status that a span recorded; the numbers are OTLP's."""

    UNSET = 0
    OK = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Link:
    """A reference to a span that is not the parent; ids in lower-case hex."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Span:
    """One operation of a service.

    trace_id, span_id: lower-case hex.
    parent_span_id: lower-case hex, empty for a root span.
    start_nanoseconds, end_nanoseconds: since the Unix epoch; the end is before the start when a clock was set back.
    facts: results of `once_per_span`, by function; spans that are described alike share them.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: SpanKind
    service: str
    start_nanoseconds: int
    end_nanoseconds: int
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    status: SpanStatus = SpanStatus.UNSET
    links: tuple[Link, ...] = ()
    facts: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def duration_nanoseconds(self) -> int:
        """The duration; 0 when the clock was set back during the span."""
        return max(0, self.end_nanoseconds - self.start_nanoseconds)

    def attributes_as_text(self) -> dict[str, str]:
        """Return each attribute as text, sorted by name."""
        return {name: str(self.attributes[name]) for name in sorted(self.attributes)}


def once_per_span(figure: Callable[[Span], T]) -> Callable[[Span], T]:
    """Return the function with its result kept in each span: every detector asks the same of it.

    The result may depend on what `SharedFacts` compares, and on nothing else.
    """
    key = f"{figure.__module__}.{figure.__qualname__}"

    @wraps(figure)
    def kept(span: Span) -> T:
        facts = span.facts
        if facts is None:
            facts = {}
            object.__setattr__(span, "facts", facts)
        elif key in facts:
            known: T = facts[key]
            return known
        found = facts[key] = figure(span)
        return found

    return kept


def retimed(span: Span, start: int, end: int, parent_span_id: str) -> Span:
    """Return a span with other times, in nanoseconds since the Unix epoch, and another parent; it keeps its facts."""
    changed = replace(span, start_nanoseconds=start, end_nanoseconds=end, parent_span_id=parent_span_id)
    object.__setattr__(changed, "facts", span.facts)
    return changed


# Numbers that say how an operation ended; of others, such as a port or a time, only the name counts.
_CODES = frozenset(
    {"rpc.response.status_code", "rpc.grpc.status_code", "http.response.status_code", "http.status_code"}
)
_NUMBERS = frozenset({int, float, bool})
# Where texts differ from span to span, nothing is shared, and what is remembered is only a burden.
_MOST_DESCRIPTIONS = 20_000


class SharedFacts:
    """One store of facts for all spans of the same name, kind, service, status, text attributes and status codes.

    Most spans of a system are alike in these, so that each kind of span is classified once.
    """

    def __init__(self) -> None:
        self._facts: dict[tuple[Any, ...], dict[str, Any]] = {}

    def share(self, span: Span) -> None:
        """Give the span the facts of all that are described alike."""
        told = [
            (name, value) if value.__class__ is str else _told(name, value) for name, value in span.attributes.items()
        ]
        alike = (span.name, span.kind, span.service, span.status, *told)
        facts = self._facts.get(alike)
        if facts is None:
            facts = {}
            if len(self._facts) < _MOST_DESCRIPTIONS:
                self._facts[alike] = facts
        object.__setattr__(span, "facts", facts)


def _told(name: str, value: Attribute) -> str | tuple[str, str]:
    """Return what of a value that is no text may decide how a span is classified."""
    return name if value.__class__ in _NUMBERS and name not in _CODES else (name, repr(value))


@dataclass(frozen=True, slots=True)
class DistinctSpans:
    """Spans with unique (trace id, span id), and the number of duplicates that were dropped."""

    spans: tuple[Span, ...]
    duplicates: int


def without_duplicates(spans: Iterable[Span]) -> DistinctSpans:
    """Drop spans that repeat a trace id and span id: an exporter without an answer sends its spans again."""
    first: dict[tuple[str, str], Span] = {}
    seen = 0
    for span in spans:
        seen += 1
        first.setdefault((span.trace_id, span.span_id), span)
    return DistinctSpans(tuple(first.values()), seen - len(first))

"""Spans, links and their attributes, as read from a trace."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
    facts: results of `once_per_span`, by function.
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
    """Return the function with its result kept in each span: every detector asks the same of it."""
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

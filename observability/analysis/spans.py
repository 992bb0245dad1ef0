"""A span as it was read: the value that everything else here works on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

Attribute = str | bool | int | float | bytes | None | list["Attribute"] | dict[str, "Attribute"]


class SpanKind(IntEnum):
    """Which side of an operation a span saw; the numbers are OTLP's."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class SpanStatus(IntEnum):
    """How an operation ended, as far as its span says; the numbers are OTLP's."""

    UNSET = 0
    OK = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Link:
    """A span that another points to without being called by it; ids in lower-case hex."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Span:
    """One operation: ids in lower-case hex (no parent: empty), times in nanoseconds since the Unix epoch."""

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

    @property
    def duration_nanoseconds(self) -> int:
        """How long it took; 0 when a clock was set back meanwhile."""
        return max(0, self.end_nanoseconds - self.start_nanoseconds)

    def attributes_as_text(self) -> dict[str, str]:
        """Write each attribute as text, in order of name."""
        return {name: str(self.attributes[name]) for name in sorted(self.attributes)}


@dataclass(frozen=True, slots=True)
class Unique:
    """Spans of which each (trace, span) comes once, and how many were left out for that."""

    spans: tuple[Span, ...]
    duplicates: int


def without_duplicates(spans: Iterable[Span]) -> Unique:
    """Keep the first of the spans that share trace and span id: an exporter that was not answered sends again."""
    kept: dict[tuple[str, str], Span] = {}
    seen = 0
    for span in spans:
        seen += 1
        kept.setdefault((span.trace_id, span.span_id), span)
    return Unique(tuple(kept.values()), seen - len(kept))

"""Limits of what a span holds, from the OTEL_* variables."""

from collections.abc import Mapping
from dataclasses import dataclass

# The default of the specification for each count.
COUNT = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanLimits:
    """Limits of one span; what exceeds a count is dropped, oldest first, and counted in the span.

    attributes: most attributes of the span.
    events: most events.
    links: most links.
    event_attributes: most attributes of an event.
    link_attributes: most attributes of a link.
    value_length: most characters of a text in the span's attributes; None: no limit.
    nested_value_length: most characters of a text in the attributes of events and links; None: no limit.
    """

    attributes: int = COUNT
    events: int = COUNT
    links: int = COUNT
    event_attributes: int = COUNT
    link_attributes: int = COUNT
    value_length: int | None = None
    nested_value_length: int | None = None


def read_limits(environ: Mapping[str, str]) -> SpanLimits:
    """Return the limits that these variables set; a limit of one kind wins over the one for all kinds."""

    def number(name: str, otherwise: int) -> int:
        return int(environ.get(f"OTEL_{name}", otherwise))

    def length(name: str, otherwise: int | None) -> int | None:
        return int(environ[f"OTEL_{name}"]) if f"OTEL_{name}" in environ else otherwise

    count, value_length = number("ATTRIBUTE_COUNT_LIMIT", COUNT), length("ATTRIBUTE_VALUE_LENGTH_LIMIT", None)
    return SpanLimits(
        attributes=number("SPAN_ATTRIBUTE_COUNT_LIMIT", count),
        events=number("SPAN_EVENT_COUNT_LIMIT", COUNT),
        links=number("SPAN_LINK_COUNT_LIMIT", COUNT),
        event_attributes=number("EVENT_ATTRIBUTE_COUNT_LIMIT", count),
        link_attributes=number("LINK_ATTRIBUTE_COUNT_LIMIT", count),
        value_length=length("SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", value_length),
        nested_value_length=value_length,
    )

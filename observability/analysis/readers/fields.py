"""Fields that several trace formats share: ids in hex or base64, span kinds and statuses, and interned strings."""

import base64
from typing import Any

from observability.analysis.spans import SpanKind, SpanStatus

Json = dict[str, Any]

TRACE_ID_DIGITS = 32
SPAN_ID_DIGITS = 16
# Exceptions that the reading of a malformed field may raise; OverflowError is that of an infinite number.
MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)

# A number, its text, and the name of the enum, as OTLP/JSON, other JSON writers and old versions have it.
KINDS: dict[Any, SpanKind] = {
    written: kind for kind in SpanKind for written in (kind.value, str(kind.value), f"SPAN_KIND_{kind.name}")
}
STATUSES: dict[Any, SpanStatus] = {
    written: status
    for status in SpanStatus
    for written in (status.value, str(status.value), f"STATUS_CODE_{status.name}")
}
# The spans' own ids and times are all different; what is repeated is found early.
_MOST_TEXTS = 100_000


class Texts:
    """One copy of each text that is repeated: names, keys and values are the same in most spans."""

    def __init__(self) -> None:
        self._copies: dict[str, str] = {}

    def one(self, text: str) -> str:
        """Return the copy of a text that is equal to this one."""
        copy = self._copies.get(text)
        if copy is None:
            if len(self._copies) >= _MOST_TEXTS:
                return text
            self._copies[text] = copy = text
        return copy


def trace_id_of(text: str) -> str:
    """Return a trace id in lower-case hex; raises ValueError. Some formats leave out leading zeros."""
    return text.lower() if len(text) == TRACE_ID_DIGITS else _id(text, TRACE_ID_DIGITS)


def span_id_of(text: str) -> str:
    """Return a span id in lower-case hex; raises ValueError. Some formats leave out leading zeros."""
    return text.lower() if len(text) == SPAN_ID_DIGITS else _id(text, SPAN_ID_DIGITS)


def _id(text: str, digits: int) -> str:
    # JSON made of protobuf by other means than OTLP's writes the bytes in base64, which is longer than half the digits.
    size = digits // 2
    if len(text.rstrip("=")) == (size * 8 + 5) // 6:
        raw = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
        if len(raw) == size:
            return raw.hex()
    if 0 < len(text) <= digits:
        int(text, 16)
        return text.lower().zfill(digits)
    raise ValueError(f"{text!r} is not an id of {digits} hex digits")

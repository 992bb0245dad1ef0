"""Counts of what could not be read, by file and by reason."""

from collections import Counter
from dataclasses import dataclass

CUT_OFF = "a line or document that is no JSON, or is cut off"
UNKNOWN_FORMAT = "content in no known format of traces"
NOT_TRACES = "OTLP metrics, logs or profiles, which are no traces"
MALFORMED_SPAN = "a span with a missing or malformed field"
TOO_LONG = "a line or message that is too long"
DAMAGED = "compressed content that is cut off or damaged"
CUT_OFF_MESSAGE = "a protobuf message that is malformed or cut off"
EMPTY = "an empty file"
MALFORMED_LINE = "a line with a missing or malformed field"


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read.

    file: name of the file.
    reason: what is wrong with it, as a noun phrase.
    count: how often it occurred.
    """

    file: str
    reason: str
    count: int

    def sentence(self) -> str:
        """Return what was not read, as one sentence."""
        return f"not read in {self.file}: {self.reason}" + (f" ({self.count:,} times)" if self.count > 1 else "")


class UnreadCounter:
    """Counter of what could not be read; `file` is the name of the file that is being read."""

    def __init__(self) -> None:
        self.file = ""
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, reason: str) -> None:
        """Count one thing in the present file."""
        self._counts[self.file, reason] += 1

    @property
    def found(self) -> tuple[Unread, ...]:
        """Everything that was counted, in the order in which it was first seen."""
        return tuple(Unread(file, reason, count) for (file, reason), count in self._counts.items())

"""Trace files: reads the spans of files in any known format, told apart by content, and counts what cannot be read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from observability.analysis.readers import containers
from observability.analysis.readers.collector import SpanCollector
from observability.analysis.readers.compression import chunks_of
from observability.analysis.readers.documents import spans_of_document
from observability.analysis.readers.fields import Texts
from observability.analysis.readers.garbage import without_garbage_collection
from observability.analysis.readers.protobuf_messages import spans_of_messages
from observability.analysis.readers.unread import EMPTY, Unread, UnreadCounter
from observability.analysis.spans import Span


@dataclass(frozen=True, slots=True)
class SpansRead:
    """The distinct spans of some files.

    unread: what could not be read, by file and reason.
    duplicate_spans: spans that were dropped because their trace id and span id had been read before.
    """

    spans: tuple[Span, ...]
    duplicate_spans: int
    unread: tuple[Unread, ...] = ()

    @property
    def unread_parts(self) -> int:
        """Number of lines, documents, messages and spans that could not be read."""
        return sum(each.count for each in self.unread)


def read_spans(paths: Iterable[Path]) -> SpansRead:
    """Read the spans of files as docs/diagnose.md lists their formats; gzip and zstd are unpacked.

    What is malformed or cut off is skipped and counted. Raises OSError when a file cannot be read.
    """
    collector, texts, unread = SpanCollector(), Texts(), UnreadCounter()
    with without_garbage_collection():
        for path in paths:
            unread.file = path.name
            collector.add(_spans_of_file(path, texts, unread))
        return SpansRead(collector.spans(), collector.duplicates, unread.found)


def _spans_of_file(path: Path, texts: Texts, unread: UnreadCounter) -> Iterator[Span]:
    chunks = chunks_of(path, unread)
    head, complete = containers.head_of(chunks)
    for document in containers.whole_document(head) if complete else ():
        yield from spans_of_document(document, texts, unread)
        return
    if not head.strip():
        # Only a file that is really empty counts as empty: a damaged one was counted as damaged.
        if path.stat().st_size == len(head):
            unread.add(EMPTY)
    elif containers.has_known_line(head):
        for document in containers.json_lines(chain([head], chunks), unread):
            yield from spans_of_document(document, texts, unread)
    elif head.lstrip()[:1] in {b"{", b"["} or head.startswith(b"\xef\xbb\xbf"):
        for document in containers.json_parts(head, chunks, unread):
            yield from spans_of_document(document, texts, unread)
    else:
        yield from spans_of_messages(chain([head], chunks), head, texts, unread)

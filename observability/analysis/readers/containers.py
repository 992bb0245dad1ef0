"""Containers: splits content into JSON lines, or into parts of a JSON document, in bounded memory."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import ijson
import orjson

from observability.analysis.readers.documents import WRAPPERS, is_known
from observability.analysis.readers.otlp_json import RESOURCE_KEYS
from observability.analysis.readers.unread import CUT_OFF, TOO_LONG, UNKNOWN_FORMAT, UnreadCounter

# A document up to this size is parsed as a whole, a longer one in parts. A line may have this size.
WHOLE_BYTES = 32 << 20
_LINES_TRIED = 100
_MARK = b"\xef\xbb\xbf"
# The lists in which a document keeps its traces or ResourceSpans.
_SPLITS = frozenset(
    {"", "data", *RESOURCE_KEYS, *(f"{wrapper}.{key}" for wrapper in WRAPPERS for key in RESOURCE_KEYS)}
)


def head_of(chunks: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return the first bytes, at least WHOLE_BYTES if there are as many, and whether these are all."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > WHOLE_BYTES:
            return b"".join(parts), False
    return b"".join(parts), True


def whole_document(head: bytes) -> list[Any]:
    """Return a list with the one JSON value that the bytes are, else an empty list."""
    try:
        return [orjson.loads(head.removeprefix(_MARK))]
    except ValueError:
        return []


def has_known_line(head: bytes) -> bool:
    """Return whether one of the first lines is a JSON value in a known format."""
    start = 0
    for _ in range(_LINES_TRIED):
        end = head.find(b"\n", start)
        line = head[start : len(head) if end < 0 else end]
        if line.strip() and any(map(is_known, whole_document(line))):
            return True
        if end < 0:
            return False
        start = end + 1
    return False


def json_lines(chunks: Iterable[bytes], unread: UnreadCounter) -> Iterator[Any]:
    """Yield the JSON value of each line that is not blank, and count those that are none."""
    for line in _lines(chunks, unread):
        if line.strip():
            try:
                yield orjson.loads(line)
            except ValueError:
                unread.add(CUT_OFF)


def json_parts(head: bytes, rest: Iterable[bytes], unread: UnreadCounter) -> Iterator[Any]:
    """Yield the elements of the list in which a JSON document, or several, keep their traces, up to any damage."""
    head = head.removeprefix(_MARK)
    prefix = _split_of(head)
    if prefix is None:
        unread.add(UNKNOWN_FORMAT)
        return
    try:
        yield from ijson.items(
            _Chunks(chain([head], rest)), f"{prefix}.item".lstrip("."), use_float=True, multiple_values=True
        )
    except (ijson.JSONError, UnicodeDecodeError, ValueError):
        unread.add(CUT_OFF)


def _split_of(head: bytes) -> str | None:
    """Return the path of the first list in which a document may keep its traces."""
    try:
        for prefix, event, _ in ijson.parse(_Chunks([head]), use_float=True, multiple_values=True):
            if event == "start_array" and prefix in _SPLITS:
                return str(prefix)
    except (ijson.JSONError, UnicodeDecodeError, ValueError):
        pass  # The document ends here; what came before holds no such list.
    return None


def _lines(chunks: Iterable[bytes], unread: UnreadCounter) -> Iterator[bytes]:
    rest: list[bytes] = []
    size = 0
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        size += len(first)
        if size <= WHOLE_BYTES:
            rest.append(first)
        else:
            rest.clear()
        if others:
            yield _joined(rest, size, unread)
            yield from others[:-1]
            rest, size = [others[-1]], len(others[-1])
    yield _joined(rest, size, unread)


def _joined(parts: list[bytes], size: int, unread: UnreadCounter) -> bytes:
    """Return a line; nothing for one that is too long, which is counted."""
    if size > WHOLE_BYTES:
        unread.add(TOO_LONG)
        return b""
    return b"".join(parts)


class _Chunks:
    """A file, as far as ijson needs one; it takes what it gets, whatever size it asked for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)

    def read(self, size: int = -1) -> bytes:
        """Return the next chunk; empty at the end, and when nothing is asked for."""
        return next(self._chunks, b"") if size else b""

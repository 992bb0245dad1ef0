"""Protobuf files: splits content into messages, raw or each after its length, and yields their spans."""

from collections.abc import Callable, Iterable, Iterator

import orjson

from observability.analysis.readers.compression import ZSTD_MAGIC, unpack_zstd
from observability.analysis.readers.documents import spans_of_document
from observability.analysis.readers.fields import Texts
from observability.analysis.readers.otlp_protobuf import is_resource_spans, spans_of_message
from observability.analysis.readers.unread import (
    CUT_OFF,
    CUT_OFF_MESSAGE,
    DAMAGED,
    TOO_LONG,
    UNKNOWN_FORMAT,
    UnreadCounter,
)
from observability.analysis.spans import Span

# The first field of a request is a list of ResourceSpans: each begins with this byte and its length.
_RESOURCE_SPANS_TAG = 0x0A
# The first fields of a ResourceSpans: its resource, and its scopes.
_RESOURCE_TAGS = (b"\x0a", b"\x12")
_LENGTH_BYTES = 4
_VARINT_BITS = 35
_MOST_BYTES = 32 << 20


def spans_of_messages(chunks: Iterable[bytes], head: bytes, texts: Texts, unread: UnreadCounter) -> Iterator[Span]:
    """Yield the spans of the requests in a file; `head` is its beginning. Counts what is malformed or cut off.

    A request is raw, or stands after its length: as a varint, or in four bytes as the Collector's file exporter writes
    it, where it may also be JSON, or packed with zstd.
    """
    messages = _Messages(chunks)
    take_length = _length_before(head, messages)
    try:
        if _is_request(head):
            yield from _spans_of_request(messages, texts, unread)
        elif take_length is None:
            unread.add(UNKNOWN_FORMAT)
        else:
            while not messages.ended():
                yield from _spans_of_message(messages.take(take_length()), texts, unread)
    except _MalformedMessage as error:
        unread.add(str(error))


class _MalformedMessage(Exception):
    """A message that cannot be read; the message of the error is the reason."""


def _spans_of_request(messages: "_Messages", texts: Texts, unread: UnreadCounter) -> Iterator[Span]:
    while not messages.ended():
        if messages.take_varint() != _RESOURCE_SPANS_TAG:
            raise _MalformedMessage(CUT_OFF_MESSAGE)
        yield from spans_of_message(messages.take(messages.take_varint()), texts, unread)


def _spans_of_message(message: bytes, texts: Texts, unread: UnreadCounter) -> Iterator[Span]:
    """Yield the spans of one request that stood after its length; a malformed one does not end the file."""
    try:
        content = unpack_zstd(message, _MOST_BYTES) if message.startswith(ZSTD_MAGIC) else message
    except ValueError:
        unread.add(DAMAGED)
        return
    try:
        if content.startswith(b"{"):
            yield from spans_of_document(orjson.loads(content), texts, unread)
        else:
            yield from _spans_of_request(_Messages([content]), texts, unread)
    except orjson.JSONDecodeError:
        unread.add(CUT_OFF)
    except _MalformedMessage as error:
        unread.add(str(error))


def _is_request(head: bytes) -> bool:
    """Return whether bytes begin with a ResourceSpans; if it is there as a whole, it must be valid."""
    messages = _Messages([head])
    try:
        if messages.take_varint() != _RESOURCE_SPANS_TAG:
            return False
        size = messages.take_varint()
        start = messages.position
    except _MalformedMessage:
        return False
    if size < 2 or head[start : start + 1] not in _RESOURCE_TAGS:
        return False
    return len(head) < start + size or is_resource_spans(head[start : start + size])


def _length_before(head: bytes, messages: "_Messages") -> Callable[[], int] | None:
    """Return how to take the length that stands before each message; None when none does."""
    after = head[_LENGTH_BYTES:]
    if head[:1] == b"\0" and (after.startswith((ZSTD_MAGIC, b"{")) or _is_request(after)):
        return messages.take_length
    first = _Messages([head])
    try:
        first.take_varint()
    except _MalformedMessage:
        return None
    return messages.take_varint if _is_request(head[first.position :]) else None


class _Messages:
    """Takes bytes and numbers off chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = bytearray()
        self._at = 0

    @property
    def position(self) -> int:
        """Number of bytes taken off the first chunk."""
        return self._at

    def ended(self) -> bool:
        """Return whether there are no more bytes."""
        return not self._has(1)

    def take(self, size: int) -> bytes:
        """Return the next bytes; raises _MalformedMessage when there are fewer, or the message is too long."""
        if size > _MOST_BYTES:
            raise _MalformedMessage(TOO_LONG)
        if not self._has(size):
            raise _MalformedMessage(CUT_OFF_MESSAGE)
        self._at += size
        return bytes(self._buffer[self._at - size : self._at])

    def take_varint(self) -> int:
        """Return the next number; raises _MalformedMessage."""
        value = 0
        for shift in range(0, _VARINT_BITS, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise _MalformedMessage(CUT_OFF_MESSAGE)

    def take_length(self) -> int:
        """Return the next number of four bytes, the highest first; raises _MalformedMessage."""
        return int.from_bytes(self.take(_LENGTH_BYTES), "big")

    def _has(self, size: int) -> bool:
        while len(self._buffer) - self._at < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            del self._buffer[: self._at]
            self._at = 0
            self._buffer += chunk
        return True

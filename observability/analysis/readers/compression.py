"""Content of a file in chunks, unpacked if it is gzip or zstd."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from observability.analysis.readers.unread import DAMAGED, UnreadCounter

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK_BYTES = 1 << 20
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP_MAGIC = b"\x1f\x8b"
_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)


def chunks_of(path: Path, unread: UnreadCounter) -> Iterator[bytes]:
    """Yield the unpacked content; what is before damage is yielded, the damage counted. Raises OSError."""
    with path.open("rb") as file:
        magic = file.peek(len(ZSTD_MAGIC))
        opened: IO[bytes] | gzip.GzipFile | zstd.ZstdFile = file
        if magic.startswith(_GZIP_MAGIC):
            opened = gzip.GzipFile(fileobj=file)
        elif magic.startswith(ZSTD_MAGIC):
            opened = zstd.ZstdFile(file)
        while True:
            try:
                chunk = opened.read1(CHUNK_BYTES)  # type: ignore[union-attr]  # all three have it
            except _DAMAGE:
                unread.add(DAMAGED)
                return
            if not chunk:
                return
            yield chunk


def unpack_zstd(message: bytes, most_bytes: int) -> bytes:
    """Unpack one zstd frame; raises ValueError when it is damaged or would be longer than `most_bytes`."""
    unpacker = zstd.ZstdDecompressor()
    try:
        content = unpacker.decompress(message, most_bytes)
    except zstd.ZstdError as error:
        raise ValueError(f"a damaged zstd frame: {error}") from error
    if not unpacker.eof:
        raise ValueError("a zstd frame that is cut off or too long")
    return content

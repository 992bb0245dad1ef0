"""Decompression of a request's body, with a limit on its size."""

import zlib
from http import HTTPStatus

from observability.receiver.refusals import ExportRefused, too_large

# 16 plus the window's 15 bits: zlib then expects a gzip header and checks the checksum in the trailer.
_GZIP = 16 + zlib.MAX_WBITS


def decompress_gzip(body: bytes, *, limit_bytes: int) -> bytes:
    """Decompress all members of a gzip body, up to the limit. Raises Refused (400, 413)."""
    whole = bytearray()
    rest = body
    while rest or not whole:
        member = zlib.decompressobj(_GZIP)
        try:
            whole += member.decompress(rest, limit_bytes + 1 - len(whole))
        except zlib.error as error:
            raise ExportRefused(HTTPStatus.BAD_REQUEST, f"the body is not valid gzip: {error}") from error
        if len(whole) > limit_bytes:
            raise too_large(limit_bytes, what="decompressed body")
        if not member.eof:
            raise ExportRefused(HTTPStatus.BAD_REQUEST, "the body's gzip data is incomplete")
        rest = member.unused_data
        if not rest:
            break
    return bytes(whole)

"""How is a request's body read so that no sender can make it larger, or slower, than the settings allow?"""

import asyncio
import zlib
from http import HTTPStatus

from starlette.types import Receive

from observability.receiver.refusals import Refused, too_large

# 16 more than the window's 15 bits: zlib then expects a gzip header and checks the trailer's sum.
_GZIP = 16 + zlib.MAX_WBITS


class Disconnected(Exception):
    """The sender went away before its body was complete; nobody waits for an answer."""


async def read_body(receive: Receive, *, limit_bytes: int, timeout_seconds: float) -> bytes:
    """Read the whole body; raises Refused (413, 408) and Disconnected."""
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_seconds):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                body += message.get("body", b"")
                if len(body) > limit_bytes:
                    raise too_large(limit_bytes, what="body")
                more = message.get("more_body", False)
    except TimeoutError as error:
        sentence = f"the body did not arrive within {timeout_seconds:g} s"
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, sentence) from error
    return bytes(body)


def decompress_gzip(body: bytes, *, limit_bytes: int) -> bytes:
    """Decompress all members of a gzip body, never to more than the limit; raises Refused (400, 413)."""
    whole = bytearray()
    rest = body
    while rest or not whole:
        member = zlib.decompressobj(_GZIP)
        try:
            whole += member.decompress(rest, limit_bytes + 1 - len(whole))
        except zlib.error as error:
            raise Refused(HTTPStatus.BAD_REQUEST, f"the body is not valid gzip: {error}") from error
        if len(whole) > limit_bytes:
            raise too_large(limit_bytes, what="decompressed body")
        if not member.eof:
            raise Refused(HTTPStatus.BAD_REQUEST, "the body's gzip data ends before its end")
        rest = member.unused_data
        if not rest:
            break
    return bytes(whole)

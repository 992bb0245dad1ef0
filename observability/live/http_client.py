"""HTTP client that only reads, within a budget of bytes and seconds that all its requests share."""

import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

# Header fields of all requests, as OTEL_EXPORTER_OTLP_HEADERS has them: a token, or X-Scope-OrgID.
HEADERS_VARIABLE = "PLUMB_LIVE_HEADERS"
NOT_FOUND = 404
_BUSY = frozenset({429, 503})
_MOST_TRIES = 4
_LONGEST_PAUSE_SECONDS = 10.0
_CHUNK_BYTES = 1 << 18
# The format of zlib with the header of gzip.
_GZIP = zlib.MAX_WBITS | 16
_MOST_ERROR_BYTES = 300


class SourceFailed(Exception):
    """A live source cannot be read; the message says what it answered."""


class OutOfBudget(SourceFailed):
    """The limit of bytes or seconds is reached; the message names it."""


class AnswerTooLong(SourceFailed):
    """One answer is longer than its limit; the message names it."""


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """Limits of a download.

    seconds: of all requests together.
    bytes: received by all requests together, unpacked.
    request_seconds: without a byte received, for one request.
    answer_bytes: of one answer.
    """

    seconds: float = 120.0
    bytes: int = 256 << 20
    request_seconds: float = 30.0
    answer_bytes: int = 32 << 20


class ReadOnlyClient:
    """Sends GET requests one after the other; waits when the server is busy."""

    def __init__(
        self,
        *,
        limits: DownloadLimits,
        headers: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.received_bytes = 0
        self.limits = limits
        self._headers = {**headers, "Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "plumb"}
        self._clock = clock
        self._pause = pause
        self._until = clock() + limits.seconds
        # It follows no redirect, so that header fields with a token reach no other server.
        self._opener = urllib.request.build_opener(_NoRedirect)

    def get(self, url: str, parameters: Mapping[str, object] | None = None) -> bytes | None:
        """Return the body of an answer, None for 404. Raises SourceFailed."""
        query = urllib.parse.urlencode(dict(parameters or {}))
        request = urllib.request.Request(f"{url}?{query}" if query else url, headers=self._headers)  # noqa: S310 - checked by `base_url`
        for attempt in range(1, _MOST_TRIES + 1):
            try:
                with self._opener.open(request, timeout=self._timeout_seconds()) as answer:
                    return self._body(url, answer)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code == NOT_FOUND:
                        return None
                    if error.code not in _BUSY or attempt == _MOST_TRIES:
                        raise SourceFailed(f"{url} answered {error.code}: {_excerpt(error)}") from error
                    self._pause(min(_pause_seconds(error, attempt), self._timeout_seconds()))
            except (OSError, http.client.HTTPException, EOFError, zlib.error) as error:
                raise SourceFailed(f"{url} cannot be read: {getattr(error, 'reason', error)}") from error
        raise AssertionError("the last try returns or raises")

    def get_json(self, url: str, parameters: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Return the JSON value of an answer, None for 404. Raises as `get` does."""
        body = self.get(url, parameters)
        try:
            return None if body is None else orjson.loads(body)
        except ValueError as error:
            raise SourceFailed(f"{url} answered with what is no JSON: {body[:80]!r}") from error  # type: ignore[index]

    def _timeout_seconds(self) -> float:
        left = self._until - self._clock()
        if left <= 0:
            raise OutOfBudget(f"the limit of {self.limits.seconds:g} s")
        return min(left, self.limits.request_seconds)

    def _body(self, url: str, answer: http.client.HTTPResponse) -> bytes:
        packed = answer.headers.get("Content-Encoding", "") == "gzip"
        unpacker = zlib.decompressobj(_GZIP) if packed else None
        body = bytearray()
        # What has come in is read, not a whole chunk: a slow server must not outlast the limit of seconds.
        while chunk := answer.read1(_CHUNK_BYTES):
            if unpacker:
                chunk = unpacker.decompress(chunk, self.limits.answer_bytes + 1 - len(body))
            body += chunk
            self.received_bytes += len(chunk)
            self._timeout_seconds()
            if len(body) > self.limits.answer_bytes:
                raise AnswerTooLong(f"{url} answered with more than {self.limits.answer_bytes / 1e6:.0f} MB")
            if self.received_bytes > self.limits.bytes:
                raise OutOfBudget(f"the limit of {self.limits.bytes / 1e6:.0f} MB")
        if unpacker and not unpacker.eof:
            raise EOFError("the answer is cut off")
        return bytes(body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def base_url(text: str) -> str:
    """Return a URL without its last slash; raises SourceFailed when it is not one of HTTP."""
    parts = urllib.parse.urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise SourceFailed(f"{text!r} is not a URL like http://127.0.0.1:16686")
    return text.rstrip("/")


def headers_from_environment() -> dict[str, str]:
    """Return the header fields in PLUMB_LIVE_HEADERS; raises SourceFailed when it is malformed."""
    fields = [each for each in os.environ.get(HEADERS_VARIABLE, "").split(",") if each.strip()]
    pairs = [each.partition("=") for each in fields]
    if not all(separator and name.strip() for name, separator, _ in pairs):
        raise SourceFailed(f"{HEADERS_VARIABLE} is malformed: write NAME=VALUE, with commas between several")
    return {name.strip(): urllib.parse.unquote(value.strip()) for name, _, value in pairs}


def _excerpt(error: urllib.error.HTTPError) -> str:
    return error.read(_MOST_ERROR_BYTES).decode(errors="replace").strip() or str(error.reason)


def _pause_seconds(error: urllib.error.HTTPError, attempt: int) -> float:
    asked = error.headers.get("Retry-After", "")
    return min(float(asked) if asked.isdecimal() else 2.0 ** (attempt - 1), _LONGEST_PAUSE_SECONDS)

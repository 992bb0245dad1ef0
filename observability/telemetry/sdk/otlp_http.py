"""An exporter of spans by OTLP over HTTP: encodes a batch, sends it, and repeats what may be repeated."""

import gzip
import math
import os
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event
from time import monotonic

import requests
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.util.re import parse_env_headers

from observability.telemetry.sdk.batch_processor import Exported, ExportFailed
from observability.telemetry.sdk.otlp_encoder import encode_request
from observability.telemetry.sdk.span import RecordingSpan

# Statuses after which OTLP allows a retry.
RETRYABLE = frozenset({429, 502, 503, 504})
ATTEMPTS = 6
# A longer answer is not read: it is none to an export.
MOST_ANSWER_BYTES = 64 * 1024
MOST_REQUEST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEndpoint:
    """Where spans are sent, and how.

    url: http:// or https://, with its path.
    headers: sent with each request; they may hold a key, so no repr shows them.
    compresses: whether requests are compressed by gzip.
    timeout_seconds: most time for one batch, with all attempts.
    certificate: file of the authorities that verify the endpoint; None: those of the system.
    client_certificate: file of the client's certificate; None: no client certificate.
    client_key: file of its key; None: it is in the same file.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    compresses: bool = False
    timeout_seconds: float = 10.0
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None


def read_endpoint(environ: Mapping[str, str]) -> HttpEndpoint:
    """Return the endpoint that OTEL_EXPORTER_OTLP_* set; OTEL_EXPORTER_OTLP_TRACES_* win over them."""

    def value(name: str) -> str | None:
        return environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environ.get(f"OTEL_EXPORTER_OTLP_{name}") or None

    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://localhost:4318"
    return HttpEndpoint(
        url=environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f"{base.removesuffix('/')}/v1/traces",
        headers=parse_env_headers(value("HEADERS") or "", liberal=True),
        compresses=(value("COMPRESSION") or "").lower() == "gzip",
        timeout_seconds=float(value("TIMEOUT") or 10.0),
        certificate=value("CERTIFICATE"),
        client_certificate=value("CLIENT_CERTIFICATE"),
        client_key=value("CLIENT_KEY"),
    )


class AttemptFailed(Exception):
    """One attempt failed; the message says why.

    is_retryable: whether a repeat may succeed.
    wait_seconds: how long the endpoint wants to be left alone; None: it does not say.
    """

    def __init__(self, reason: str, *, is_retryable: bool, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.is_retryable = is_retryable
        self.wait_seconds = wait_seconds


class OtlpHttpExporter:
    """Sends batches to one endpoint, with those attributes of spans whose keys are allowed."""

    def __init__(self, endpoint: HttpEndpoint, *, allowed: Collection[str] | None = None) -> None:
        self._endpoint = endpoint
        self._allowed = allowed
        self._stopping = Event()
        self._session: requests.Session | None = None
        self._process_id = 0

    def export(self, spans: Sequence[RecordingSpan], *, timeout_seconds: float = math.inf) -> Exported:
        """Encode and send a batch; wait between attempts as long as the endpoint asks for. Raises ExportFailed."""
        deadline = monotonic() + min(timeout_seconds, self._endpoint.timeout_seconds)
        body = encode_request(spans, allowed=self._allowed)
        if len(body) > MOST_REQUEST_BYTES:
            raise ExportFailed(f"the request would have {len(body)} bytes")
        if self._endpoint.compresses:
            body = gzip.compress(body)
        for attempt in range(ATTEMPTS):
            try:
                return self._send(body, timeout_seconds=deadline - monotonic())
            except AttemptFailed as error:
                wait_seconds = error.wait_seconds
                if wait_seconds is None:
                    wait_seconds = 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311 - spreads repeats
                is_last = attempt == ATTEMPTS - 1 or not error.is_retryable
                if is_last or wait_seconds >= deadline - monotonic() or self._stopping.wait(wait_seconds):
                    raise ExportFailed(str(error)) from error
        raise AssertionError("the last attempt returns or raises")

    def shutdown(self) -> None:
        """End the wait before a repeat."""
        self._stopping.set()

    def _send(self, body: bytes, *, timeout_seconds: float) -> Exported:
        """Make one attempt. Raises AttemptFailed."""
        try:
            with self._open_session().post(
                self._endpoint.url, data=body, timeout=timeout_seconds, allow_redirects=False, stream=True
            ) as response:
                if not 200 <= response.status_code < 300:
                    raise AttemptFailed(
                        f"HTTP {response.status_code} {response.reason}",
                        is_retryable=response.status_code in RETRYABLE,
                        wait_seconds=read_retry_after(response.headers.get("retry-after", "")),
                    )
                return read_answer(next(response.iter_content(MOST_ANSWER_BYTES), b""))
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise AttemptFailed(type(error).__name__, is_retryable=True) from error
        except requests.RequestException as error:
            raise AttemptFailed(type(error).__name__, is_retryable=False) from error

    def _open_session(self) -> requests.Session:
        """Return the session of this process: a forked child must not write to its parent's connection."""
        if self._session is None or self._process_id != os.getpid():
            endpoint, self._process_id = self._endpoint, os.getpid()
            self._session = requests.Session()
            self._session.verify = endpoint.certificate or True
            if endpoint.client_certificate:
                key = endpoint.client_key
                self._session.cert = (endpoint.client_certificate, key) if key else endpoint.client_certificate
            encoding = {"content-encoding": "gzip"} if endpoint.compresses else {}
            self._session.headers.update(
                {"user-agent": "plumbline", "content-type": "application/x-protobuf", **encoding, **endpoint.headers}
            )
        return self._session


def read_answer(body: bytes) -> Exported:
    """Return the rejected spans of an answer; one that is not OTLP rejects none."""
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return Exported()
    return Exported(max(0, partial.rejected_spans), partial.error_message)


def read_retry_after(value: str) -> float | None:
    """Return the seconds that a Retry-After header names, as a number or by a date; None when it is neither."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None

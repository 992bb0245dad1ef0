"""OTLP client: sends encoded export requests to an endpoint over HTTP or gRPC."""

import asyncio
import ipaddress
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from observability.receiver.otlp_endpoint import OtlpEndpoint

TRACES_PATH = "/v1/traces"
# A larger response is no answer to an export.
MAXIMUM_ANSWER_BYTES = 64 * 1024
ATTEMPTS = 5
LONGEST_BACKOFF_SECONDS = 8.0
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# Statuses after which OTLP allows a retry.
_RETRYABLE_HTTP = frozenset({429, 502, 503, 504})
_RETRYABLE_GRPC = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


@dataclass(frozen=True, slots=True)
class Sent:
    """Result of an accepted request: the number of rejected spans, and the reason."""

    rejected_spans: int = 0
    reason: str = ""


class SendFailed(Exception):
    """The endpoint accepted no span of a request; the message says why. `is_retryable`: a retry may succeed."""

    def __init__(self, reason: str, *, is_retryable: bool) -> None:
        super().__init__(reason)
        self.is_retryable = is_retryable


class OtlpClient(Protocol):
    """Sends to one endpoint."""

    async def send(self, body: bytes) -> Sent:
        """Send one ExportTraceServiceRequest in protobuf. Raises SendFailed."""


@asynccontextmanager
async def open_otlp_client(endpoint: OtlpEndpoint) -> AsyncIterator[OtlpClient]:
    """Open a client during a with block; it connects with its first request. Raises OSError for bad TLS files."""
    if endpoint.protocol == "grpc":
        async with _open_channel(endpoint) as channel:
            yield GrpcClient(channel, endpoint)
    else:
        # HTTPS_PROXY applies, but never to an endpoint on this machine.
        timeout = aiohttp.ClientTimeout(total=endpoint.timeout_seconds)
        connector = aiohttp.TCPConnector(ssl=_ssl_context(endpoint))
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, trust_env=not is_local(endpoint.url)
        ) as session:
            yield HttpClient(session, endpoint)


def is_local(url: str) -> bool:
    """Return whether a URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def send_with_retries(client: OtlpClient, body: bytes) -> Sent:
    """Send one request, with at most five attempts and full-jitter back-off. Raises SendFailed."""
    for failures in range(1, ATTEMPTS):
        try:
            return await client.send(body)
        except SendFailed as error:
            if not error.is_retryable:
                raise
        await asyncio.sleep(random.uniform(0, min(LONGEST_BACKOFF_SECONDS, 2.0**failures / 2)))  # noqa: S311  # jitter
    return await client.send(body)


class HttpClient:
    """OTLP over HTTP with protobuf."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: OtlpEndpoint) -> None:
        self._session = session
        self._url = endpoint.url
        self._headers = {**endpoint.headers, "content-type": "application/x-protobuf"}

    async def send(self, body: bytes) -> Sent:
        """Send one request. Raises SendFailed."""
        try:
            async with self._session.post(self._url, data=body, headers=self._headers, allow_redirects=False) as answer:
                if answer.status != HTTPStatus.OK:
                    retryable = answer.status in _RETRYABLE_HTTP
                    raise SendFailed(f"HTTP {answer.status} {answer.reason}", is_retryable=retryable)
                return _sent(await _whole(answer))
        except TimeoutError as error:
            raise SendFailed("no answer in time", is_retryable=True) from error
        except aiohttp.ClientError as error:
            raise SendFailed(str(error) or type(error).__name__, is_retryable=True) from error


class GrpcClient:
    """OTLP over gRPC."""

    def __init__(self, channel: grpc.aio.Channel, endpoint: OtlpEndpoint) -> None:
        # Without serialisers: the request is encoded already.
        self._export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_EXPORT)
        self._metadata = tuple(endpoint.headers.items())
        self._timeout_seconds = endpoint.timeout_seconds

    async def send(self, body: bytes) -> Sent:
        """Send one request. Raises SendFailed."""
        try:
            return _sent(await self._export(body, metadata=self._metadata, timeout=self._timeout_seconds))
        except grpc.aio.AioRpcError as error:
            reason = f"{error.code().name} {error.details()}"
            raise SendFailed(reason, is_retryable=error.code() in _RETRYABLE_GRPC) from error


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """Return the complete body of a response; a single read might return a part of it. Raises SendFailed."""
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > MAXIMUM_ANSWER_BYTES:
            raise SendFailed(f"the answer is larger than {MAXIMUM_ANSWER_BYTES} bytes", is_retryable=False)
    return bytes(body)


def _sent(answer: bytes) -> Sent:
    try:
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
    except DecodeError as error:
        raise SendFailed("the answer is not OTLP", is_retryable=False) from error
    return Sent(partial.rejected_spans, partial.error_message)


def _open_channel(endpoint: OtlpEndpoint) -> grpc.aio.Channel:
    parts = urlsplit(endpoint.url)
    options = (("grpc.enable_http_proxy", int(not is_local(endpoint.url))),)
    if parts.scheme != "https":
        return grpc.aio.insecure_channel(parts.netloc, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_content(endpoint.certificate),
        private_key=_content(endpoint.client_key),
        certificate_chain=_content(endpoint.client_certificate),
    )
    return grpc.aio.secure_channel(parts.netloc, credentials, options=options)


def _content(path: Path | None) -> bytes | None:
    return path.read_bytes() if path else None


def _ssl_context(endpoint: OtlpEndpoint) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=endpoint.certificate)
    if endpoint.client_certificate:
        context.load_cert_chain(endpoint.client_certificate, endpoint.client_key)
    return context

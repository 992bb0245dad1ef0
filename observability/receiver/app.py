"""ASGI application of the receiver: POST /v1/traces, GET /metrics, GET /livez."""

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.types import Receive, Scope, Send

from observability.listener.bodies import Bodies, Disconnected
from observability.listener.limits import LimitExceeded
from observability.receiver.counts import Counts
from observability.receiver.refusals import ExportRefused
from observability.receiver.settings import ReceiverSettings
from observability.receiver.sink import Sink

TRACES_PATH = "/v1/traces"
_PROTOBUF = "application/x-protobuf"
_TEXT = "text/plain; charset=utf-8"
# google.rpc.Code for the body of a refusal, as OTLP requires.
_RPC_CODES = {HTTPStatus.BAD_REQUEST: 3, HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 8, HTTPStatus.REQUEST_TIMEOUT: 4}
_UNAVAILABLE = 14
_RETRY_AFTER_SECONDS = b"1"


class ReceiverApp:
    """Answers requests, and writes the received spans to `sink`."""

    def __init__(
        self,
        *,
        settings: ReceiverSettings,
        bodies: Bodies,
        sink: Sink,
        counts: Counts,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._bodies = bodies
        self._sink = sink
        self._counts = counts
        self._log = log
        self._pending = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        match scope["path"], scope["method"]:
            case "/v1/traces", "POST":
                await self._export(scope, receive, send)
            case "/livez", "GET" | "HEAD":
                await _respond(send, HTTPStatus.OK, b"ok\n")
            case "/metrics", "GET" | "HEAD":
                await _respond(send, HTTPStatus.OK, self._counts.render(), content_type=self._counts.content_type)
            case ("/v1/traces" | "/livez" | "/metrics") as path, _:
                allow = b"POST" if path == TRACES_PATH else b"GET, HEAD"
                await _respond(
                    send, HTTPStatus.METHOD_NOT_ALLOWED, b"method not allowed\n", headers=[(b"allow", allow)]
                )
            case _:
                await _respond(send, HTTPStatus.NOT_FOUND, b"not found; traces go to POST /v1/traces\n")

    async def _export(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            await self._store(scope, receive, compressed=_check_encodings(headers))
        except ExportRefused as refusal:
            self._counts.requests.labels(str(refusal.status.value)).inc()
            self._log.warning("receiver.request_refused", status=refusal.status.value, why=str(refusal))
            await _refuse(send, refusal, headers)
        except Disconnected:
            self._counts.requests.labels("disconnected").inc()
        else:
            self._counts.requests.labels("200").inc()
            body = ExportTraceServiceResponse().SerializeToString()
            await _respond(send, HTTPStatus.OK, body, content_type=_PROTOBUF)

    async def _store(self, scope: Scope, receive: Receive, *, compressed: bool) -> None:
        try:
            body = await self._bodies.read(scope, receive)
        except LimitExceeded as error:
            raise ExportRefused(error.status, str(error)) from error
        # Counted when the body is complete, so that slow senders do not use up the limit.
        if self._pending >= self._settings.maximum_pending_requests:
            raise ExportRefused(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once; retry later")
        self._pending += 1
        try:
            await self._sink.put(body, compressed=compressed)
        finally:
            self._pending -= 1


def _check_encodings(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether the body is compressed. Raises Refused (415) for another content type or encoding."""
    if not _is_protobuf(headers):
        sentence = f"the content type must be {_PROTOBUF}; OTLP over JSON or gRPC is not supported here"
        raise ExportRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, sentence)
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    if encoding not in {"identity", "gzip"}:
        sentence = f"the content encoding must be gzip or identity, not {encoding!r}"
        raise ExportRefused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, sentence)
    return encoding == "gzip"


def _is_protobuf(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower() == _PROTOBUF


async def _refuse(send: Send, refusal: ExportRefused, headers: Mapping[bytes, bytes]) -> None:
    """Answer a refusal: with a google.rpc.Status for protobuf, as OTLP requires, and with plain text otherwise."""
    retry = refusal.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.REQUEST_TIMEOUT}
    extra = [(b"retry-after", _RETRY_AFTER_SECONDS)] if retry else []
    if refusal.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}:
        extra.append((b"connection", b"close"))  # the rest of the body is not read
    if _is_protobuf(headers):
        code = _RPC_CODES.get(refusal.status, _UNAVAILABLE if retry else 3)
        body = Status(code=code, message=str(refusal)).SerializeToString()
        await _respond(send, refusal.status, body, content_type=_PROTOBUF, headers=extra)
    else:
        await _respond(send, refusal.status, f"{refusal}\n".encode(), headers=extra)


async def _respond(
    send: Send,
    status: HTTPStatus,
    body: bytes,
    *,
    content_type: str = _TEXT,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    sent = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status.value, "headers": sent})
    await send({"type": "http.response.body", "body": body})

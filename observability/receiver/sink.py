"""The sink of spans: decodes request bodies and writes them to the file, in a thread of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from observability.receiver.body import decompress_gzip
from observability.receiver.counts import Counts
from observability.receiver.otlp_json import count_spans, to_json_line
from observability.receiver.refusals import ExportRefused
from observability.receiver.rotating_file import RotatingFile

_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8


class Sink:
    """Writes bodies one after the other in a thread, so that a slow disk does not block the event loop."""

    def __init__(
        self,
        file: RotatingFile,
        *,
        counts: Counts,
        maximum_body_bytes: int,
        forward: Callable[[bytes, int], None] | None = None,
    ) -> None:
        """Start the thread; `forward` gets each written request, in protobuf, and the number of its spans."""
        self._file = file
        self._counts = counts
        self._maximum_body_bytes = maximum_body_bytes
        self._forward = forward
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sink")

    async def put(self, body: bytes, *, compressed: bool) -> None:
        """Write a body's spans to the operating system. Raises Refused (400, 413, 503)."""
        loop = asyncio.get_running_loop()
        request, spans = await loop.run_in_executor(self._thread, self._put, body, compressed)
        if self._forward and spans:
            self._forward(request, spans)

    def close(self) -> None:
        """Finish pending writes, then sync and close the file."""
        self._thread.shutdown(wait=True)
        self._file.close()

    def _put(self, body: bytes, compressed: bool) -> tuple[bytes, int]:  # noqa: FBT001 - an executor passes arguments by position
        if compressed:
            body = decompress_gzip(body, limit_bytes=self._maximum_body_bytes)
        request = _decode(body)
        spans = count_spans(request)
        if spans:
            self._append(to_json_line(request), spans)
        return body, spans

    def _append(self, line: bytes, spans: int) -> None:
        removed_before = self._file.removed_files
        try:
            self._file.append(line)
        except OSError as error:
            sentence = f"cannot write the spans: {error.strerror}"
            raise ExportRefused(HTTPStatus.SERVICE_UNAVAILABLE, sentence) from error
        self._counts.spans.inc(spans)
        self._counts.bytes.inc(len(line))
        self._counts.removed_files.inc(self._file.removed_files - removed_before)


def _decode(body: bytes) -> ExportTraceServiceRequest:
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise ExportRefused(
            HTTPStatus.BAD_REQUEST, "the body is not an ExportTraceServiceRequest in protobuf"
        ) from error
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                if len(span.trace_id) != _TRACE_ID_BYTES or len(span.span_id) != _SPAN_ID_BYTES:
                    raise ExportRefused(
                        HTTPStatus.BAD_REQUEST, f"span {span.name!r} has no trace id or span id of full length"
                    )
    return request

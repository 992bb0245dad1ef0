"""How does a log line look? One JSON object a line on standard output, with the ids of the current trace and span."""

import logging
import os
import sys
from pathlib import Path
from typing import BinaryIO, cast

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

# Of these there are at most two, the current and the one before: what a process logs in some hours.
MAXIMUM_FILE_BYTES = 8 * 1024 * 1024


class CopiedStream:
    """Writes each line to a stream and to a file, for a Collector that reads files and no containers' output.

    A file that would pass `maximum_bytes` becomes NAME.1, over the one before. structlog writes under a lock.
    """

    def __init__(self, stream: BinaryIO, path: Path, *, maximum_bytes: int = MAXIMUM_FILE_BYTES) -> None:
        self._stream = stream
        self._path = path
        self._maximum_bytes = maximum_bytes
        self._file = path.open("ab", buffering=0)
        self._failed = False

    def write(self, data: bytes, /) -> None:
        """Write to the stream, then to the file; a file that cannot be written to is given up, and the stream told."""
        self._stream.write(data)
        if self._failed:
            return
        try:
            if self._file.tell() and self._file.tell() + len(data) > self._maximum_bytes:
                self._rotate()
            self._file.write(data)
        except OSError as error:
            self._failed = True
            self._stream.write(to_json({"event": "log.copy_given_up", "level": "error", "reason": str(error)}) + b"\n")

    def flush(self) -> None:
        """Flush the stream; the file holds nothing back."""
        self._stream.flush()

    def _rotate(self) -> None:
        self._file.close()
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self._file = self._path.open("ab", buffering=0)


def add_trace_ids(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Add trace_id and span_id in hex when a sampled span is current."""
    span_context = trace.get_current_span().get_span_context()
    if span_context.trace_flags.sampled:
        event_dict["trace_id"] = trace.format_trace_id(span_context.trace_id)
        event_dict["span_id"] = trace.format_span_id(span_context.span_id)
    return event_dict


def to_json(value: object, **_: object) -> bytes:
    """Serialise one event; values that JSON does not know are written as text."""
    return orjson.dumps(value, default=str)


def make_logger(*, service_name: str, level: int, stream: BinaryIO | None = None) -> FilteringBoundLogger:
    """Return the process's logger. It writes bytes to standard output: the stdlib bridge is three times dearer.

    Raises OSError when LOG_FOLDER names a folder that cannot be written to.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.BytesLogger(copied(stream or sys.stdout.buffer, service_name)),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            add_trace_ids,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=to_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    return logger.bind(service=service_name)


def copied(stream: BinaryIO, service_name: str) -> BinaryIO:
    """Return the stream, with a copy in a file of the folder that LOG_FOLDER names; without one there is no file."""
    folder = os.environ.get("LOG_FOLDER")
    if not folder:
        return stream
    # Writing and flushing is all that structlog asks of a stream.
    return cast(BinaryIO, CopiedStream(stream, Path(folder) / f"{service_name}.jsonl"))


# What gRPC says when a caller left in the moment it was answered: no error of ours, and the caller does not hear it.
LEFT_UNHEARD = "ExecuteBatchError raised in core by servicer method"


class LibraryLogs(logging.Handler):
    """Sends the libraries' own log records through our logger, so that a process writes one format."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(level=logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a library's record as one event named `library.logged`."""
        exception = record.exc_info if record.exc_info and record.exc_info[0] else None
        level, message = record.levelno, record.getMessage()
        if message.startswith(LEFT_UNHEARD):
            level, exception = logging.INFO, None
        self._log.log(level, "library.logged", library=record.name, message=message, exc_info=exception)


def take_over_library_logs(log: FilteringBoundLogger) -> None:
    """Make the standard library's root logger hand its warnings and errors to `log`, and to nobody else."""
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryLogs(log)], force=True)

"""How does a log line look? One JSON object a line on standard output, with the ids of the current trace and span."""

import logging
import sys
from typing import BinaryIO

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger


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
    """Return the process's logger. It writes bytes to standard output: the stdlib bridge is three times dearer."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.BytesLogger(stream or sys.stdout.buffer),
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


class LibraryLogs(logging.Handler):
    """Sends the libraries' own log records through our logger, so that a process writes one format."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(level=logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a library's record as one event named `library.logged`."""
        exception = record.exc_info if record.exc_info and record.exc_info[0] else None
        self._log.log(
            record.levelno, "library.logged", library=record.name, message=record.getMessage(), exc_info=exception
        )


def take_over_library_logs(log: FilteringBoundLogger) -> None:
    """Make the standard library's root logger hand its warnings and errors to `log`, and to nobody else."""
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryLogs(log)], force=True)

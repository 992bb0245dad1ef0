"""Log lines: one JSON object a line on standard output, with the ids of the current trace and span."""

import io
import logging
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

import orjson
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from observability.telemetry.log_writer import BoundedFile, Descriptor, LogWriter, Output

# Time limit for writing the last lines of a process, in case the reader stalls; a busy machine needs part of it.
CLOSE_SECONDS = 4.0
OUTPUTS = ("stdout", "file")
# Used when sys.stdout is replaced by an object without a descriptor.
STDOUT = 1


class LogOutputs:
    """Writes each finished line to all outputs; structlog's wrapped logger.

    `write` functions are called at once. `writers` write in threads of their own, and are closed with the process.
    """

    def __init__(self, *write: Callable[[bytes], object], writers: Sequence[LogWriter] = ()) -> None:
        self._write = (*write, *(writer.write for writer in writers))
        self._writers = writers

    def msg(self, message: bytes) -> None:
        """Write one line."""
        line = message + b"\n"
        for write in self._write:
            write(line)

    debug = info = warning = error = critical = msg

    def as_text(self) -> IO[str]:
        """Return a text stream for a library that writes whole lines."""
        return cast(IO[str], _TextLines(self))

    def close(self, *, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Write the queued lines, within one time limit for all outputs."""
        deadline = time.monotonic() + timeout_seconds
        for writer in self._writers:
            writer.end()
        for writer in self._writers:
            writer.close(timeout_seconds=max(0.0, deadline - time.monotonic()))


class _TextLines:
    """The methods of a text stream that libraries use."""

    def __init__(self, outputs: LogOutputs) -> None:
        self._outputs = outputs

    def write(self, text: str) -> int:
        """Write lines."""
        self._outputs.msg(text.removesuffix("\n").encode())
        return len(text)

    def flush(self) -> None:
        """Return: nothing is buffered."""


def open_outputs(service_name: str, *, on_dropped: Callable[[int, str], None]) -> LogOutputs:
    """Return standard output and, where LOG_FOLDER names a folder, a file of bounded size in it.

    The file is for a Collector that reads files instead of containers' output. `on_dropped` is called with the number
    of lines that an output of OUTPUTS lost. Raises OSError when the folder cannot be written to.
    """
    outputs: dict[str, Output] = {}
    if sys.stdout is not None:  # it is None where the process was started without one
        outputs["stdout"] = Descriptor(stdout_descriptor())
    if folder := os.environ.get("LOG_FOLDER"):
        outputs["file"] = BoundedFile(Path(folder) / f"{service_name}.jsonl")

    def make_notice(dropped: int, reason: str) -> bytes:
        event = {"event": "log.lines_dropped", "level": "error", "service": service_name, "lines": dropped}
        return to_json({**event, "reason": reason or "the reader was too slow", "timestamp": datetime.now(UTC)}) + b"\n"

    def opened(name: str, output: Output) -> LogWriter:
        on_dropped(0, name)
        return LogWriter(output, make_notice=make_notice, on_dropped=lambda lines: on_dropped(lines, name))

    return LogOutputs(writers=[opened(name, output) for name, output in outputs.items()])


def stdout_descriptor() -> int:
    """Return the number of standard output's descriptor."""
    try:
        return sys.stdout.fileno()
    except OSError:
        return STDOUT


def add_trace_ids(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Add trace_id and span_id in hex when a sampled span is current."""
    span_context = trace.get_current_span().get_span_context()
    if span_context.trace_flags.sampled:
        event_dict["trace_id"] = trace.format_trace_id(span_context.trace_id)
        event_dict["span_id"] = trace.format_span_id(span_context.span_id)
    return event_dict


def to_json(value: object, **_: object) -> bytes:
    """Serialise one event as JSON; values of other types are written as text."""
    return orjson.dumps(value, default=str)


def make_logger(*, service_name: str, level: int, outputs: LogOutputs) -> FilteringBoundLogger:
    """Return the process's logger. It makes bytes itself: structlog's stdlib bridge costs three times as much."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        outputs,
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


# gRPC logs this when a caller disconnects while it is answered: no error of the service.
CALLER_DISCONNECTED = "ExecuteBatchError raised in core by servicer method"


# Loggers that quote baggage, trace state or headers, which may hold secrets: their messages are logged without values.
LOGGERS_QUOTING_CALLERS = ("opentelemetry.baggage", "opentelemetry.trace", "opentelemetry.util.re")


class LibraryLogs(logging.Handler):
    """Writes the log records of libraries through our logger, so that all lines have one format."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(level=logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a library's record as one event named `library.logged`."""
        exception = record.exc_info if record.exc_info and record.exc_info[0] else None
        has_values = record.name.startswith(LOGGERS_QUOTING_CALLERS)
        level, message = record.levelno, str(record.msg) if has_values else record.getMessage()
        if message.startswith(CALLER_DISCONNECTED):
            level, exception = logging.INFO, None
        self._log.log(level, "library.logged", library=record.name, message=message, exc_info=exception)


def take_over_library_logs(log: FilteringBoundLogger) -> None:
    """Make the standard library's root logger pass its warnings and errors to `log` alone."""
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryLogs(log)], force=True)


def take_over_standard_error(log: FilteringBoundLogger) -> None:
    """Send warnings and uncaught exceptions to `log`, and make standard error non-blocking.

    The interpreter and gRPC's core still write to standard error, and must not wait for a reader that stalls.
    """
    logging.captureWarnings(True)
    threading.excepthook = lambda args: log.error("thread.failed", thread=str(args.thread), exc_info=args.exc_value)
    sys.unraisablehook = lambda args: log.error("finalizer.failed", of=_name_of(args.object), exc_info=args.exc_value)
    try:
        if stat.S_ISREG(os.fstat(2).st_mode):
            return  # a file does not block, and opened anew it would not share its offset with other processes
        # Opened anew: otherwise all processes with the same pipe or terminal would share the flag.
        unblocked = os.open("/dev/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
    except OSError:  # closed, a socket, or another user's: unchanged
        return
    os.dup2(unblocked, 2)
    os.close(unblocked)
    # Without a buffer: output that a stalled reader does not take is lost, instead of failing the interpreter's last
    # flush, which would change the exit status.
    raw = io.FileIO(2, "w", closefd=False)
    sys.stderr = io.TextIOWrapper(raw, encoding=sys.stderr.encoding, errors=sys.stderr.errors, write_through=True)


def _name_of(value: object) -> str:
    return getattr(value, "__qualname__", type(value).__qualname__)

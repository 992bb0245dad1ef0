"""Log lines: one JSON object a line on standard output, with the ids of the current trace and span."""

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

# The last lines of a process whose reader stalls are given up then; a machine that is very busy needs some of it.
CLOSE_SECONDS = 4.0
OUTPUTS = ("stdout", "file")
# Where what a program has put in the place of sys.stdout has no number of its own.
STDOUT = 1


class LogOutputs:
    """Takes each finished line to all outputs; structlog's wrapped logger.

    `write` functions get a line at once; `writers` in threads of their own, and are closed with the process.
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
        """Return what a library that writes whole lines of text takes for a stream."""
        return cast(IO[str], _TextLines(self))

    def close(self, *, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, within the time limit for all."""
        deadline = time.monotonic() + timeout_seconds
        for writer in self._writers:
            writer.end()
        for writer in self._writers:
            writer.close(timeout_seconds=max(0.0, deadline - time.monotonic()))


class _TextLines:
    """The part of a text stream that its writers need."""

    def __init__(self, outputs: LogOutputs) -> None:
        self._outputs = outputs

    def write(self, text: str) -> int:
        """Write lines."""
        self._outputs.msg(text.removesuffix("\n").encode())
        return len(text)

    def flush(self) -> None:
        """Hold nothing back."""


def open_outputs(service_name: str, *, on_dropped: Callable[[int, str], None]) -> LogOutputs:
    """Return standard output and, where LOG_FOLDER names a folder, a file of bounded size in it.

    The file is for a Collector that reads files and no containers' output. `on_dropped` is told how many lines an
    output of OUTPUTS lost. Raises OSError when the folder cannot be written to.
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
    """Serialise one event; values that JSON does not know are written as text."""
    return orjson.dumps(value, default=str)


def make_logger(*, service_name: str, level: int, outputs: LogOutputs) -> FilteringBoundLogger:
    """Return the process's logger. It makes bytes itself: the stdlib bridge is three times dearer."""
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


# What gRPC says when a caller left in the moment it was answered: no error of ours, and the caller does not hear it.
LEFT_UNHEARD = "ExecuteBatchError raised in core by servicer method"


# Loggers that quote what a caller or an operator sent: baggage, trace state, headers with keys. Their words are enough.
WITH_VALUES_OF_CALLERS = ("opentelemetry.baggage", "opentelemetry.trace", "opentelemetry.util.re")


class LibraryLogs(logging.Handler):
    """Sends the libraries' own log records through our logger, so that a process writes one format."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__(level=logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a library's record as one event named `library.logged`."""
        exception = record.exc_info if record.exc_info and record.exc_info[0] else None
        has_values = record.name.startswith(WITH_VALUES_OF_CALLERS)
        level, message = record.levelno, str(record.msg) if has_values else record.getMessage()
        if message.startswith(LEFT_UNHEARD):
            level, exception = logging.INFO, None
        self._log.log(level, "library.logged", library=record.name, message=message, exc_info=exception)


def take_over_library_logs(log: FilteringBoundLogger) -> None:
    """Make the standard library's root logger hand its warnings and errors to `log`, and to nobody else."""
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryLogs(log)], force=True)


def take_over_standard_error(log: FilteringBoundLogger) -> None:
    """Send warnings and exceptions that no code caught to `log`; let other writes to standard error fail, not wait.

    The interpreter's last words and gRPC's core still write there, and must not wait for a reader.
    """
    logging.captureWarnings(True)
    threading.excepthook = lambda args: log.error("thread.failed", thread=str(args.thread), exc_info=args.exc_value)
    sys.unraisablehook = lambda args: log.error("finalizer.failed", of=_name_of(args.object), exc_info=args.exc_value)
    try:
        if stat.S_ISREG(os.fstat(2).st_mode):
            return  # a file does not wait, and whoever shares it goes on from the place where we end
        # Opened anew: the flag would else be shared with all who have the same pipe or terminal.
        unblocked = os.open("/dev/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
    except OSError:  # closed, a socket, or another user's: it stays as it is
        return
    os.dup2(unblocked, 2)
    os.close(unblocked)


def _name_of(value: object) -> str:
    return getattr(value, "__qualname__", type(value).__qualname__)

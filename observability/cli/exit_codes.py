"""Exit codes: what a failed command says on standard error, and the status it ends with."""

import os
import sys
import tempfile
import traceback
from typing import Any, NamedTuple

FAILED = 1
USAGE = 2
INTERRUPTED_BY_KEYBOARD = 130
SIGNAL_BASE = 128

# Where the errors are that a command may end with, as `module:class`. The message of each is one plain sentence.
FAILURES = (
    "asyncpg:InterfaceError",
    "asyncpg:PostgresError",
    "observability.analysis.observation_folder:ObservationUnreadable",
    "observability.demo.options:DemoError",
    "observability.experiments.runner.errors:TrialError",
    "observability.live.http_client:SourceFailed",
    "observability.load.errors:LoadError",
    "observability.testbed.errors:TestbedError",
    "services.kernel.errors:ServiceError",
    "services.local.processes.errors:LocalError",
)
USAGE_ERRORS = ("observability.load.errors:LoadUsageError",)
INTERRUPTION = "services.local.processes.signals:Interrupted"


class CommandFailed(Exception):
    """The command cannot do its work; the message says why. Without a status it ends with that of its failures."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Ending(NamedTuple):
    """The line on standard error, and the exit status."""

    message: str
    status: int


def ending_of(error: BaseException, *, failed: int) -> Ending | None:
    """Return how a command ends with this error; None when Click knows how.

    `failed` is the command's exit status when it cannot do its work. A bug ends it with this status, too, and not with
    Python's own, 1, which is a result in some commands.
    """
    message = str(error) or type(error).__name__
    match error:
        case CommandFailed():
            return Ending(message, failed if error.status is None else error.status)
        case KeyboardInterrupt():
            return Ending("interrupted", INTERRUPTED_BY_KEYBOARD)
        case BrokenPipeError():
            # Click ends quietly when the reader of standard output has left.
            return None
    if isinstance(error, loaded(INTERRUPTION)):
        return Ending("interrupted; everything is stopped", SIGNAL_BASE + error.number)
    if isinstance(error, loaded(*USAGE_ERRORS)):
        return Ending(message, USAGE)
    return _ending_of_failure(error, message, failed)


def _ending_of_failure(error: BaseException, message: str, failed: int) -> Ending | None:
    if isinstance(error, (OSError, *loaded(*FAILURES))):
        return Ending(message, failed)
    return Ending(_report_of(error), failed) if _is_bug(error) else None


def usage_status(failed: int) -> int:
    """Return the exit status of wrong arguments: 2, or `failed` in commands where 2 is a result."""
    return max(USAGE, failed)


def _is_bug(error: BaseException) -> bool:
    """Return whether an error is a bug: not one of those with which Click and Typer end a program."""
    return isinstance(error, Exception) and type(error).__module__.partition(".")[0] not in {"click", "typer"}


def _report_of(error: BaseException) -> str:
    """Write the traceback to a file, and return a sentence with its path, or with the traceback if that fails."""
    what = f"this is a bug of plumb: {type(error).__name__}: {error}"
    report = "".join(traceback.format_exception(error))
    try:
        descriptor, path = tempfile.mkstemp(prefix="plumb-crash-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(report)
    except OSError as unwritable:
        return f"{what}; its report cannot be written ({unwritable}):\n{report}"
    return f"{what}; its report is in {path}"


def loaded(*paths: str) -> tuple[type[Any], ...]:
    """Return the classes whose modules are imported: an error of a module that is not cannot have been raised."""
    found = (path.partition(":") for path in paths)
    return tuple(getattr(sys.modules[module], name) for module, _, name in found if module in sys.modules)

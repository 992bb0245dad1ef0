"""Exit codes: what a failed command says on standard error, and the status it ends with."""

import sys
from typing import Any, NamedTuple

FAILED = 1
USAGE = 2
INTERRUPTED_BY_KEYBOARD = 130
SIGNAL_BASE = 128

# Where the errors are that a command may end with, as `module:class`. The message of each is one plain sentence.
FAILURES = (
    "asyncpg:InterfaceError",
    "asyncpg:PostgresError",
    "observability.analysis.observation:ObservationUnreadable",
    "observability.demo.options:DemoError",
    "observability.experiments.runner.errors:TrialError",
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
    """Return how a command ends with this error; None when the error is a bug, whose traceback is wanted.

    `failed` is the command's exit status when it cannot do its work.
    """
    message = str(error) or type(error).__name__
    if isinstance(error, CommandFailed):
        return Ending(message, failed if error.status is None else error.status)
    if isinstance(error, KeyboardInterrupt):
        return Ending("interrupted", INTERRUPTED_BY_KEYBOARD)
    if isinstance(error, loaded(INTERRUPTION)):
        return Ending("interrupted; everything is stopped", SIGNAL_BASE + error.number)
    if isinstance(error, loaded(*USAGE_ERRORS)):
        return Ending(message, USAGE)
    # Click ends quietly when the reader of standard output has left.
    if isinstance(error, BrokenPipeError):
        return None
    return Ending(message, failed) if isinstance(error, (OSError, *loaded(*FAILURES))) else None


def loaded(*paths: str) -> tuple[type[Any], ...]:
    """Return the classes whose modules are imported: an error of a module that is not cannot have been raised."""
    found = (path.partition(":") for path in paths)
    return tuple(getattr(sys.modules[module], name) for module, _, name in found if module in sys.modules)

"""Errors of running the platform on this machine, with messages that say what to do."""


class LocalError(Exception):
    """The platform cannot start or continue; the message says what happened and what to do."""


class ProcessFailed(LocalError):
    """A process of the platform ended unexpectedly; the message has its name, status and last log lines."""


class PortTaken(LocalError):
    """A required port is used by another process."""


class FolderUnusable(LocalError):
    """A folder that the run needs cannot be created or written."""


class DatabaseUnavailable(LocalError):
    """PostgreSQL is missing, did not start, or cannot be used at the given address."""

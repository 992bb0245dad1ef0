"""What can go wrong in running the platform here, in words a person can act on?"""


class LocalError(Exception):
    """The platform cannot start or go on; the message says plainly what happened and what to do."""


class ProcessFailed(LocalError):
    """A process of the platform ended by itself; the message names it, its status and the last lines of its log."""


class PortTaken(LocalError):
    """A port that was asked for is used by another process."""


class FolderUnusable(LocalError):
    """A folder that the run needs cannot be created or written."""


class DatabaseUnavailable(LocalError):
    """PostgreSQL is missing, did not start, or cannot be reached or used with the given address."""

"""Errors of the load generator, each with a message that says what to do."""


class LoadError(Exception):
    """The run could not be made. The message is one sentence that says what to do."""


class LoadUsageError(LoadError):
    """The options contradict each other or are out of range, or a given file cannot be used."""

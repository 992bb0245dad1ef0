"""What can keep a run from starting, said so that the reader knows what to do?"""


class LoadError(Exception):
    """The run could not be made; the message is one plain sentence saying what to do."""


class LoadUsageError(LoadError):
    """What was asked for makes no sense, or a file given cannot be used."""

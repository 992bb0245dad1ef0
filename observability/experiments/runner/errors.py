"""Errors of a trial, with a message that says what to do."""


class TrialError(Exception):
    """The trial could not be finished; the message says what to do."""


class TrialSkipped(TrialError):
    """This machine lacks what an experiment needs; the message says what."""

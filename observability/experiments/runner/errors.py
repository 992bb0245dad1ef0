"""What can keep a trial from its end?"""


class TrialError(Exception):
    """The trial could not go on; the message is one plain sentence that says what to do."""

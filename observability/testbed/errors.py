"""Error of the testbed, with a message that says what to do."""


class TestbedError(Exception):
    """The platform could not be driven as planned, which says nothing about the shop; the message is one sentence."""

"""Error of the testbed, with a message that says what to do."""


class TestbedError(Exception):
    """The platform could not be driven as planned. It is no finding about the shop. The message is one sentence."""

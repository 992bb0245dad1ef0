"""What can keep a campaign from going on, said so that the reader knows what to do?"""


class ChaosError(Exception):
    """The campaign could not be carried out, which says nothing about the shop; the message is one plain sentence."""

"""How long is something under way that is lost, and that TCP has to send again, perhaps more than once?"""

import random
from dataclasses import dataclass

# The least that Linux waits before it sends again; then twice as long each time (RFC 6298).
FIRST_SECONDS = 0.2
# Sent so often and still not there: what keeps it away is no loss any more.
MOST_TIMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A `share` of what sets out is lost, and so is a share `again` of what is sent again, each 0 to 1.

    Losses come in bursts: what is sent again shortly after meets the same full buffer, so that `again` is the larger.
    """

    share: float
    again: float

    def __post_init__(self) -> None:
        """Raise ValueError for what is no share."""
        if not (0 <= self.share <= 1 and 0 <= self.again <= 1):
            raise ValueError("a share of what is lost is 0 to 1")

    def wait_seconds(self, chance: random.Random) -> float:
        """Draw how much later something arrives than without any loss: not at all, 0.2 s, 0.6 s, ... 6.2 s at most."""
        times, lost = 0, chance.random() < self.share
        while lost and times < MOST_TIMES:
            times += 1
            lost = chance.random() < self.again
        return FIRST_SECONDS * ((1 << times) - 1)

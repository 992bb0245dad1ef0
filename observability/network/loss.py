"""Packet loss as TCP sees it: the delay that retransmissions add to a chunk."""

import random
from dataclasses import dataclass

# Linux's minimum retransmission timeout, which doubles each time (RFC 6298).
FIRST_SECONDS = 0.2
# A chunk still lost after so many retransmissions is an outage and not packet loss.
MOST_TIMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Loss probabilities, each 0 to 1.

    share: of chunks sent for the first time.
    again: of retransmissions. It is the larger one, since losses come in bursts: a retransmission shortly after meets
        the same full buffer.
    """

    share: float
    again: float

    def __post_init__(self) -> None:
        """Raise ValueError for a share outside 0 to 1."""
        if not (0 <= self.share <= 1 and 0 <= self.again <= 1):
            raise ValueError("each share of a loss must be 0 to 1")

    def wait_seconds(self, chance: random.Random) -> float:
        """Draw the delay that losses add to one chunk: 0, 0.2 s, 0.6 s, ... 6.2 s at most."""
        times, lost = 0, chance.random() < self.share
        while lost and times < MOST_TIMES:
            times += 1
            lost = chance.random() < self.again
        return FIRST_SECONDS * ((1 << times) - 1)

"""Tests of packet loss: the delay of retransmissions."""

import random
from collections import Counter

import pytest

from observability.network.loss import FIRST_SECONDS, MOST_TIMES, Loss

DRAWS = 20_000


def drawn(loss: Loss) -> Counter[float]:
    """Count how often each wait was drawn."""
    chance = random.Random(1)
    return Counter(round(loss.wait_seconds(chance), 6) for _ in range(DRAWS))


def test_without_a_loss_nothing_waits() -> None:
    assert drawn(Loss(share=0.0, again=0.9)) == {0.0: DRAWS}


def test_a_chunk_lost_once_waits_for_the_first_timeout() -> None:
    assert drawn(Loss(share=1.0, again=0.0)) == {FIRST_SECONDS: DRAWS}


def test_the_timeout_doubles_with_each_loss_up_to_a_limit() -> None:
    assert drawn(Loss(share=1.0, again=1.0)) == {round(FIRST_SECONDS * (2**MOST_TIMES - 1), 6): DRAWS}


def test_the_shares_of_waits_follow_the_given_probabilities() -> None:
    """A tenth is lost, of which a half once, a quarter twice, and so on."""
    waits = drawn(Loss(share=0.1, again=0.5))
    assert waits[0.0] / DRAWS == pytest.approx(0.9, abs=0.01)
    assert waits[0.2] / DRAWS == pytest.approx(0.05, abs=0.01)
    assert waits[0.6] / DRAWS == pytest.approx(0.025, abs=0.005)


@pytest.mark.parametrize("shares", [{"share": 1.1, "again": 0.0}, {"share": 0.1, "again": -0.1}])
def test_a_share_outside_0_to_1_is_rejected(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share"):
        Loss(**shares)

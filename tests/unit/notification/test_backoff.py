"""When is a confirmation that could not be sent tried again?"""

import pytest

from services.notification.application.commands.send_confirmations import backoff_seconds


@pytest.mark.parametrize(("failures", "most_seconds"), [(1, 0.2), (2, 0.4), (9, 51.2), (10, 60.0), (10_000, 60.0)])
def test_the_bound_doubles_up_to_a_minute(failures: int, most_seconds: float) -> None:
    assert backoff_seconds(failures, chance=1.0) == pytest.approx(most_seconds)


def test_the_jitter_is_full() -> None:
    """Any moment below the bound, the present one too."""
    assert backoff_seconds(5, chance=0.0) == 0.0
    assert backoff_seconds(5, chance=0.5) == pytest.approx(1.6)

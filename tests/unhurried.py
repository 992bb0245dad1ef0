"""Context manager in which no default limit of a call or a connection ends it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.infra import deadline, postgres
from tests.patience import PATIENCE_SECONDS


@contextmanager
def unhurried() -> Iterator[None]:
    """Give calls without a deadline, and connections at their start and end, all the time there is in a with block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadline, "DEFAULT_SECONDS", PATIENCE_SECONDS)
        for limit in ("CONNECT", "RELEASE", "ROLLBACK"):
            patch.setattr(postgres, f"{limit}_SECONDS", PATIENCE_SECONDS)
        yield

"""Context manager that raises the default time limits of calls and of database connections, for slow machines."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.infra import deadline, postgres
from tests.patience import PATIENCE_SECONDS


@contextmanager
def unhurried() -> Iterator[None]:
    """Within a with block, raise the default deadline of calls, and the limits on opening and releasing connections."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadline, "DEFAULT_SECONDS", PATIENCE_SECONDS)
        for limit in ("CONNECT", "RELEASE", "ROLLBACK"):
            patch.setattr(postgres, f"{limit}_SECONDS", PATIENCE_SECONDS)
        yield

"""Longer time limits, for slow machines: of calls, database connections, caches, NATS and downloads."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from observability.live.http_client import DownloadLimits
from services.infra import cache, deadline, postgres, valkey_store
from services.infra.messaging import nats_log
from tests.patience import PATIENCE_SECONDS

# The limits of a client for which a slow machine is never too slow.
PATIENT_DOWNLOAD = DownloadLimits(seconds=PATIENCE_SECONDS, request_seconds=PATIENCE_SECONDS)


@contextmanager
def unhurried() -> Iterator[None]:
    """Within a with block, raise the default deadline of calls, and the limits on opening and releasing connections."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadline, "DEFAULT_SECONDS", PATIENCE_SECONDS)
        for limit in ("CONNECT", "RELEASE", "ROLLBACK"):
            patch.setattr(postgres, f"{limit}_SECONDS", PATIENCE_SECONDS)
        yield


@contextmanager
def unhurried_cache() -> Iterator[None]:
    """Within a with block, raise the limits on a command of a cache: three late answers open its circuit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "WAIT_SECONDS", PATIENCE_SECONDS)
        patch.setattr(valkey_store, "LIMIT_SECONDS", PATIENCE_SECONDS)
        yield


@contextmanager
def unhurried_nats() -> Iterator[None]:
    """Within a with block, raise the limits on requests to NATS, and how long it keeps a reader that is silent.

    Not for a test that kills the server: it would wait as long for an answer that never comes.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadline, "DEFAULT_SECONDS", PATIENCE_SECONDS)
        for limit in ("CONNECT", "REQUEST", "OPERATION", "CONSUMER", "CLOSE"):
            patch.setattr(nats_log, f"{limit}_SECONDS", PATIENCE_SECONDS)
        yield

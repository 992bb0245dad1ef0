"""Fixtures of scratch folders, marked processes and platforms of stand-ins."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from services.local.platform.plan import MODULES, PlatformOptions
from services.local.processes.scratch_folder import Scratch
from services.local.servers.nats import nats_server_available
from tests.integration.local.traces import VARIABLE, Marked
from tests.patience import PATIENCE_SECONDS

STAND_IN = "tests.integration.local.stand_in"
needs_nats = pytest.mark.skipif(
    not nats_server_available(), reason="there is no nats-server here: what --bus nats does stays unproven"
)


@pytest.fixture
def marked(tmp_path: Path) -> Iterator[Marked]:
    """Yield a marker for child processes, and kill those that a failed test left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    marked = Marked(temporary=folder)
    yield marked
    for process in marked.processes():
        try:
            os.kill(process.pid, signal.SIGKILL)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


@pytest.fixture
def marked_here(marked: Marked, monkeypatch: pytest.MonkeyPatch) -> Marked:
    """Set the marker in our own environment, for processes that the test starts itself."""
    marked_environment(marked, monkeypatch)
    return marked


def marked_environment(marked: Marked, patch: pytest.MonkeyPatch) -> None:
    """Let the processes that this one starts carry the marker, and use no given server."""
    patch.setenv(VARIABLE, marked.marker)
    patch.setattr("tempfile.tempdir", str(marked.temporary))
    patch.delenv("PLUMB_POSTGRES_DSN", raising=False)


@pytest.fixture
async def scratch(tmp_path: Path) -> AsyncIterator[Scratch]:
    """Yield the folder of a run."""
    scratch = Scratch(parent=tmp_path)
    yield scratch
    await scratch.close()


@pytest.fixture
def options(tmp_path: Path) -> PlatformOptions:
    """Return options of a platform on free ports in which every service is a stand-in."""
    return stand_ins(tmp_path / "run")


def stand_ins(folder: Path) -> PlatformOptions:
    """Return options of a platform of stand-ins in a folder."""
    return PlatformOptions(
        run_directory=folder,
        modules=dict.fromkeys(MODULES, STAND_IN),
        start_timeout_seconds=PATIENCE_SECONDS,
        stop_timeout_seconds=PATIENCE_SECONDS,
    )

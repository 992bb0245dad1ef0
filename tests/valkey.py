"""Fixtures of an embedded Valkey, empty for each test and stopped at its end; a cache waits long for it."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.local.processes.scratch_folder import Scratch
from services.local.servers.valkey import EmbeddedValkey, ValkeyStart, start_valkey, valkey_server_available
from tests.unhurried import unhurried_cache


@pytest.fixture
async def valkey_start(tmp_path: Path) -> AsyncIterator[ValkeyStart]:
    """Return the settings of a server, which can be started several times."""
    if not valkey_server_available():
        pytest.skip("there is no valkey-server on this machine")
    scratch = Scratch()
    try:
        with unhurried_cache():
            yield ValkeyStart(scratch=scratch, log_path=tmp_path / "valkey.log", environment=os.environ)
    finally:
        await scratch.close()


@pytest.fixture
async def valkey_server(valkey_start: ValkeyStart) -> AsyncIterator[EmbeddedValkey]:
    """Run a server for one test."""
    async with AsyncExitStack() as stack:
        yield await start_valkey(valkey_start, stack=stack)

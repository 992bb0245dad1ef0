"""Fixture: a platform for the tests of rules on real metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from services.local.platform.endpoints import Mode
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform


@asynccontextmanager
async def running(mode: Mode, run_directory: Path, *, replicas: int = 0) -> AsyncIterator[Platform]:
    """Start the shop; yield it before its first request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLUMB_POSTGRES_DSN", raising=False)
        options = PlatformOptions(run_directory=run_directory, mode=mode, replicas=replicas)
        async with Platform.start(options) as platform:
            yield platform


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """Run the shop in one process."""
    async with running("monolith", tmp_path_factory.mktemp("rules")) as platform:
        yield platform

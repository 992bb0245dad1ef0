"""A platform of its own for the tests that look at a live one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.local.plan import PlatformOptions
from services.local.platform import Platform


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """The shop as it is when it has just started, in one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLUMB_POSTGRES_DSN", raising=False)
        options = PlatformOptions(run_directory=tmp_path_factory.mktemp("rules"), mode="monolith")
        async with Platform.start(options) as platform:
            yield platform

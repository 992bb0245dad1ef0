"""One running shop for the whole folder, and single services beside it for the tests that break something."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.local.platform.endpoints import Endpoints
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform
from tests.e2e.services import Services
from tests.e2e.stock import fill_shelves

# Spans leave soon after they end, so that a test need not wait seconds for what a receiver got.
SPANS_LEAVE_SOON = {"OTEL_BSP_SCHEDULE_DELAY": "200"}
# On a slow machine too only the drain may turn an order away, and an answer has the time that it takes.
PATIENT = {
    "ORDER_ADMISSION_ENABLED": "false",
    "ORDER_REQUEST_DEADLINE_SECONDS": "60",
    "ORDER_DRAIN_GRACE_SECONDS": "300",
    "ORDER_DRAIN_LIMIT_SECONDS": "600",
}


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Endpoints]:
    """Start the platform in services mode on free ports, with stock; no test may stop or break it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLUMB_POSTGRES_DSN", raising=False)
        options = PlatformOptions(run_directory=tmp_path_factory.mktemp("shop"), environment={"*": SPANS_LEAVE_SOON})
        async with Platform.start(options) as platform:
            await fill_shelves(platform.endpoints.inventory_grpc)
            yield platform.endpoints


@pytest.fixture
def services(shop: Endpoints, tmp_path: Path) -> Iterator[Services]:
    """Return a starter of patient services on the shop's databases; kill at the end what still runs."""
    with Services.beside(shop, folder=tmp_path, environment={**SPANS_LEAVE_SOON, **PATIENT}) as services:
        yield services

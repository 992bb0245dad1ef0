"""The real services under the supervisor, in both modes."""

import asyncio
import urllib.request
from pathlib import Path

import pytest

from services.local.platform.endpoints import Mode
from services.local.platform.plan import PlatformOptions
from services.local.platform.platform import Platform
from tests.integration.local.traces import Marked
from tests.patience import PATIENCE_SECONDS


def readiness_of(address: str) -> int:
    """Return the status that an admin port answers."""
    with urllib.request.urlopen(f"http://{address}/readyz", timeout=PATIENCE_SECONDS) as answer:
        status: int = answer.status
        return status


@pytest.mark.full
@pytest.mark.parametrize("mode", ["monolith", "services"])
async def test_services_get_ready_and_stop(mode: Mode, tmp_path: Path, marked_here: Marked) -> None:
    said: list[str] = []
    options = PlatformOptions(run_directory=tmp_path / "run", mode=mode, stop_timeout_seconds=PATIENCE_SECONDS)
    async with Platform.start(options, progress=said.append) as platform:
        processes = ["monolith"] if mode == "monolith" else ["inventory", "notification", "order"]
        assert sorted(platform.endpoints.service_pids) == sorted([*processes, "receiver"])
        assert sorted(platform.endpoints.admin) == processes
        addresses = platform.endpoints.admin.values()
        assert {await asyncio.to_thread(readiness_of, address) for address in addresses} == {200}
    assert [words for words in said if "killed" in words] == []
    assert marked_here.leftovers() == []

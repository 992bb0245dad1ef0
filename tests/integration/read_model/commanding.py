"""A platform as `plumb` finds it: a shop that is there between commands, and its endpoints file."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from typer.testing import CliRunner, Result

from observability.cli import main
from services.local.endpoints import Endpoints
from tests.contract.shop import Shop, open_shop

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Platform:
    """Its addresses; a command has an event loop of its own, and so has what the shop does before and after it."""

    dsns: Mapping[str, str]
    endpoints: Path

    def let(self, happen: Callable[[Shop], Awaitable[Found]]) -> Found:
        """Let something happen in the shop."""

        async def run() -> Found:
            async with open_shop("in_process", self.dsns) as shop:
                return await happen(shop)

        return asyncio.run(run())

    def plumb(self, *arguments: str) -> Result:
        """Run a command on it."""
        return plumb(*arguments, "--endpoints", str(self.endpoints))


def plumb(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner(env={"COLUMNS": "250"}).invoke(main, arguments)


def write_endpoints(dsns: Mapping[str, str], folder: Path) -> Path:
    """Write the file that `plumb up` would."""
    path = folder / "endpoints.json"
    Endpoints(
        run_id="test",
        mode="services",
        bus="postgres",
        supervisor_pid=1,
        supervisor_token="",
        edge_http="",
        order_grpc="",
        inventory_grpc="",
        admin={},
        otlp_http="",
        databases=dsns,
        event_log_url=dsns["event_log"],
        event_log_allow_unsafe_sync=False,
        postgres_pid=None,
        service_pids={},
        run_directory="",
        traces_directory="",
        notifications_directory="",
        logs={},
    ).save(path)
    return path

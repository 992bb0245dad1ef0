"""A platform as `plumb` finds it: a shop that is there between commands, and its endpoints file."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from typer.testing import CliRunner, Result

from observability.cli import main
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

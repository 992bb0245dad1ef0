"""`plumb chaos pause`: a process stops while it holds a batch, a lock or orders."""

from pathlib import Path
from typing import Annotated

import typer

from observability.chaos.campaigns.pause import PAUSES, PauseOptions, pause
from observability.cli.chaos.running import (
    BusOption,
    OutputOption,
    ReplicasOption,
    SeedOption,
    ShardsOption,
    run_campaign,
)


def pause_command(
    *,
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    most: Annotated[int, typer.Option(min=1, help="Number of pauses to try; the first ones of the list.")] = len(
        PAUSES
    ),
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Pause one of two order processes that holds a batch, a lock or orders, until the other has taken over."""
    options = PauseOptions(bus=bus, shards=shards, replicas=replicas, seed=seed, most=most)
    run_campaign(lambda folder, say: pause(options, folder, say), output, options.folder_name("pause"))

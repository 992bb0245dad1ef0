"""`plumb chaos move`: kill the program that moves logical shards at every step."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from observability.chaos.campaigns.kill import CampaignOptions
from observability.cli.chaos.kill import run_campaign
from observability.cli.chaos.running import (
    BusOption,
    ModeOption,
    OutputOption,
    ReplicasOption,
    SeedOption,
    make_directory,
)

# A move takes seconds.
KILLS_A_ROUND = 30


def move_command(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    kills: Annotated[int, typer.Option(min=1, help="Kills in all.")] = 200,
    kills_a_round: Annotated[int, typer.Option(min=1, help="Kills between two checks.")] = KILLS_A_ROUND,
    shards: Annotated[int, typer.Option(min=2, max=8, help="Servers of orders.")] = 2,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Move the logical shards of customers from server to server, and kill each move at one of its steps.

    The customers place, repeat and cancel orders meanwhile. A move that was killed is continued by the next process.
    `plumb chaos kill --resume FOLDER` continues an interrupted campaign.

    Exit codes: 0 all holds, 1 something is violated (the evidence is kept), 2 the campaign failed, 3 a crash point was
    never reached.
    """
    options = CampaignOptions(
        mode=mode,
        bus=bus,
        seed=seed,
        kills=kills,
        kills_a_round=kills_a_round,
        shards=shards,
        replicas=replicas,
        moves=True,
    )
    directory = make_directory(output, options.folder_name("move"))
    options.write(directory)
    run_campaign(options, directory, Console(highlight=False))

"""`plumb chaos kill`: processes are killed at every durable step, and at random moments."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from observability.chaos.campaigns.kill import KILLS_A_ROUND, Campaign, CampaignOptions
from observability.chaos.terminal import print_campaign, showing
from observability.cli.chaos.running import (
    EXIT_VIOLATED,
    BusOption,
    ModeOption,
    OutputOption,
    ReplicasOption,
    SeedOption,
    ShardsOption,
    make_directory,
    run_until_signal,
)

_EXIT_INCOMPLETE = 3


def kill_command(  # noqa: PLR0913 - an option of the command is an argument here; they go on as one value
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    kills: Annotated[int, typer.Option(min=1, help="Kills in all.")] = 200,
    kills_a_round: Annotated[int, typer.Option(min=3, help="Kills between two checks.")] = KILLS_A_ROUND,
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    resume: Annotated[Path | None, typer.Option(help="Folder of an interrupted campaign to continue.")] = None,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Kill processes with SIGKILL under load: at every durable step, and at random moments.

    Each round has a fresh platform: customers place, repeat and cancel orders while its processes die independently of
    each other. Then all processes are started, every order completes, and the invariants I1 to I8 and all answers to
    the customers are checked.

    Exit codes: 0 all holds, 1 something is violated (the evidence is kept), 2 the campaign failed, 3 a crash point was
    never reached.
    """
    console = Console(highlight=False)
    if resume is not None:
        options, directory = CampaignOptions.read(resume), resume
    else:
        options = CampaignOptions(
            mode=mode,
            bus=bus,
            seed=seed,
            kills=kills,
            kills_a_round=kills_a_round,
            shards=shards,
            replicas=replicas,
        )
        directory = make_directory(output, options.folder_name("kill"))
        options.write(directory)
    run_campaign(options, directory, console)


def run_campaign(options: CampaignOptions, directory: Path, console: Console) -> NoReturn:
    """Run a campaign, print its result, and exit with its code."""
    campaign = Campaign(options, directory)
    with showing(console, campaign) as listener:
        run_until_signal(
            lambda: campaign.run(listener), console, hint=f"; continue with `plumb chaos kill --resume {directory}`"
        )
    print_campaign(console, campaign)
    console.print(f"written to {directory / 'result.json'}", markup=False)
    raise typer.Exit(EXIT_VIOLATED if campaign.violations else _EXIT_INCOMPLETE if campaign.complaints else 0)

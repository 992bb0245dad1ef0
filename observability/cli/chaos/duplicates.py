"""`plumb chaos duplicates`: repeated requests and deliveries."""

from pathlib import Path
from typing import Annotated

import typer

from observability.chaos.campaigns.duplicates import DuplicatesOptions, duplicates
from observability.cli.chaos.running import BusOption, OutputOption, ReplicasOption, ShardsOption, run_campaign


def duplicates_command(
    *,
    bus: BusOption = "postgres",
    deliveries: Annotated[int, typer.Option(min=1, help="Deliveries before the campaign ends.")] = 100_000,
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Send every request three times, and deliver every event many times: no effect may happen twice."""
    options = DuplicatesOptions(bus=bus, shards=shards, replicas=replicas, deliveries=deliveries)
    run_campaign(lambda folder, say: duplicates(options, folder, say), output, options.folder_name("duplicates"))

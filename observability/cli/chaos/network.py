"""`plumb chaos network`: faults of each network connection."""

from pathlib import Path
from typing import Annotated

import typer

from observability.chaos.campaigns.network import NetworkOptions, network
from observability.cli.chaos.running import (
    BusOption,
    OutputOption,
    ReplicasOption,
    SeedOption,
    ShardsOption,
    run_campaign,
)
from observability.network.proxy import Impairment


def network_command(
    *,
    bus: BusOption = "nats",
    seed: SeedOption = 1,
    fault: Annotated[list[Impairment] | None, typer.Option(help="Fault to try; may be repeated. Default: all.")] = None,
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Break each network connection of the platform in each way under load: resets, a blackhole, and more.

    No answer may come after its deadline, and afterwards the platform must work as before. Takes ten seconds for each
    fault on each connection.
    """
    options = NetworkOptions(bus=bus, shards=shards, replicas=replicas, seed=seed, faults=tuple(fault or Impairment))
    run_campaign(lambda folder, say: network(options, folder, say), output, options.folder_name("network"))

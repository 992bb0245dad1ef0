"""`plumb chaos bad-input`: invalid gRPC requests."""

from pathlib import Path
from typing import Annotated

import typer

from observability.chaos.campaigns.bad_input import BadInputOptions, bad_input
from observability.cli.chaos.running import OutputOption, ReplicasOption, SeedOption, ShardsOption, run_campaign


def bad_input_command(
    *,
    seed: SeedOption = 1,
    cases: Annotated[int, typer.Option(min=1, help="Calls in all.")] = 20_000,
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Send invalid gRPC requests to both services: drawn from their descriptors, and arbitrary bytes.

    No call may end as INTERNAL or hang, and no process may end.
    """
    options = BadInputOptions(shards=shards, replicas=replicas, seed=seed, cases=cases)
    run_campaign(lambda folder, say: bad_input(options, folder, say), output, options.folder_name("bad-input"))

"""`plumb chaos bad-input`: invalid gRPC requests."""

from pathlib import Path
from typing import Annotated

import typer

from observability.chaos.campaigns.bad_input import BadInputOptions, bad_input
from observability.cli.chaos.running import OutputOption, SeedOption, run_campaign


def bad_input_command(
    *,
    seed: SeedOption = 1,
    cases: Annotated[int, typer.Option(min=1, help="Calls in all.")] = 20_000,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Send invalid gRPC requests to both services: drawn from their descriptors, and arbitrary bytes.

    No call may end as INTERNAL or hang, and no process may end.
    """
    options = BadInputOptions(seed=seed, cases=cases)
    run_campaign(lambda folder, say: bad_input(options, folder, say), output, "bad-input")

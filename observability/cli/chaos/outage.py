"""`plumb chaos outage`: inventory is unavailable for a while."""

from pathlib import Path
from typing import Annotated

import typer

from observability.chaos.campaigns.outage import AWAY_SECONDS, How, OutageOptions, outage
from observability.cli.chaos.running import OutputOption, SeedOption, run_campaign


def outage_command(
    *,
    how: Annotated[
        How, typer.Option(help="What replaces inventory: a server that rejects calls, or none.")
    ] = "refusing",
    guarded: Annotated[
        bool,
        typer.Option(
            "--guarded/--unguarded", help="Call it with circuit breaker, throttle and retry budget, or without."
        ),
    ] = True,
    seed: SeedOption = 1,
    rate: Annotated[float, typer.Option(min=1.0, help="Orders per second, in an open loop.")] = 20.0,
    away: Annotated[float, typer.Option(min=5.0, help="Seconds of the outage.")] = AWAY_SECONDS,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Stop inventory for a while under load, and count every attempt to call it.

    Guarded, there are at most 1.15 attempts per request, the breaker opens within 2 s, and the platform works as
    before within 12 s after inventory is back.
    """
    options = OutageOptions(how=how, guarded=guarded, seed=seed, rate_per_second=rate, away_seconds=away)
    run_campaign(
        lambda folder, say: outage(options, folder, say), output, f"outage-{how}-{'' if guarded else 'un'}guarded"
    )

"""`plumb chaos abuse`: attacks by a few hostile clients."""

from pathlib import Path
from typing import Annotated

import typer

from observability.chaos.campaigns.abuse import NAMES, AbuseOptions, abuse
from observability.cli.chaos.running import (
    BusOption,
    OutputOption,
    ReplicasOption,
    SeedOption,
    ShardsOption,
    run_campaign,
)


def abuse_command(
    *,
    bus: BusOption = "nats",
    seed: SeedOption = 1,
    rate: Annotated[
        float, typer.Option(min=1.0, help="Orders per second of the normal customers, in an open loop.")
    ] = 6.0,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds of each attack, and of the pause after it.")] = 10.0,
    attack: Annotated[
        list[str] | None, typer.Option(help=f"Attack to run; may be repeated. Default: all of {', '.join(NAMES)}.")
    ] = None,
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Attack the platform as a few hostile clients would, while normal customers place orders.

    The attacks are connections that send only headers, endless headers, thousands of idle connections, forged tokens,
    health watches, unknown fields, stray messages, a log that is not read, a silent connection, and an unavailable
    inventory. Goodput of the normal customers must stay at 90 % of that without an attack, every answer must be true,
    and memory must stay bounded.
    """
    attacks = tuple(attack or (name for name in NAMES if bus == "nats" or name != "stray_messages"))
    if unknown := set(attacks) - set(NAMES):
        raise typer.BadParameter(f"there is no attack {', '.join(sorted(unknown))}", param_hint="--attack")
    options = AbuseOptions(
        bus=bus,
        shards=shards,
        replicas=replicas,
        seed=seed,
        rate_per_second=rate,
        attack_seconds=seconds,
        rest_seconds=seconds,
        attacks=attacks,
    )
    run_campaign(lambda folder, say: abuse(options, folder, say), output, options.folder_name("abuse"))

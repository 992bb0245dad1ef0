"""`plumb chaos storm`: many customers order the last units of one SKU."""

from pathlib import Path

from observability.chaos.campaigns.storm import StormOptions, storm
from observability.cli.chaos.running import (
    BusOption,
    ModeOption,
    OutputOption,
    ReplicasOption,
    SeedOption,
    ShardsOption,
    TimesOption,
    run_campaign,
)


def storm_command(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 20,
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Let 400 customers order the last 100 units of one SKU at the same time.

    With one unit per order exactly 100 are sold; with one to three, less is left than any rejected order needed.
    """
    options = StormOptions(mode=mode, bus=bus, shards=shards, replicas=replicas, seed=seed, times=times)
    run_campaign(lambda folder, say: storm(options, folder, say), output, options.folder_name("storm"))

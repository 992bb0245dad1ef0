"""`plumb chaos rolling-restart`: processes are replaced one after the other."""

from pathlib import Path

from observability.chaos.campaigns.rolling_restart import RollingOptions, rolling
from observability.cli.chaos.running import (
    BusOption,
    OutputOption,
    ReplicasOption,
    SeedOption,
    ShardsOption,
    TimesOption,
    run_campaign,
)


def rolling_restart_command(
    *,
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 20,
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Restart order and inventory in turn under load, two processes of each, one after the other.

    No customer may see an error: a balancer retries a request that one edge loses or rejects at the other, once, with
    the same id.
    """
    options = RollingOptions(bus=bus, shards=shards, replicas=replicas, seed=seed, times=times)
    run_campaign(lambda folder, say: rolling(options, folder, say), output, options.folder_name("rolling-restart"))

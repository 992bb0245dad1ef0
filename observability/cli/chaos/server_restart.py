"""`plumb chaos postgres-restart`, `broker-wipe`, `broker-kill`: a server restarts, or loses its data."""

from pathlib import Path

from observability.chaos.campaigns.server_restart import ServersOptions, servers
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


def postgres_restart_command(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 6,
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Restart PostgreSQL under load, in turn with a fast and an immediate shutdown; the latter is like a crash."""
    options = ServersOptions(
        what="postgres-restart", mode=mode, bus=bus, shards=shards, replicas=replicas, seed=seed, times=times
    )
    _run(options, output)


def broker_wipe_command(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 4,
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Delete the event log under load: it is filled again, and events that are delivered again have no effect."""
    options = ServersOptions(
        what="broker-wipe", mode=mode, bus=bus, shards=shards, replicas=replicas, seed=seed, times=times
    )
    _run(options, output)


def broker_kill_command(
    *,
    mode: ModeOption = "services",
    seed: SeedOption = 1,
    times: TimesOption = 6,
    shards: ShardsOption = 1,
    replicas: ReplicasOption = 0,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Kill the NATS server under load, and start it again with its data."""
    options = ServersOptions(
        what="broker-kill", mode=mode, bus="nats", shards=shards, replicas=replicas, seed=seed, times=times
    )
    _run(options, output)


def _run(options: ServersOptions, output: Path) -> None:
    run_campaign(lambda folder, say: servers(options, folder, say), output, options.folder_name(options.what))

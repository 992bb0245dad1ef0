"""`plumb chaos postgres-restart`, `broker-wipe`, `broker-kill`: a server restarts, or loses its data."""

from pathlib import Path

from observability.chaos.campaigns.server_restart import Break, ServersOptions, servers
from observability.cli.chaos.running import BusOption, ModeOption, OutputOption, SeedOption, TimesOption, run_campaign
from services.local.platform.endpoints import Bus, Mode


def postgres_restart_command(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 6,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Restart PostgreSQL under load, in turn with a fast and an immediate shutdown; the latter is like a crash."""
    _restart("postgres-restart", mode, bus, seed, times, output)


def broker_wipe_command(
    *,
    mode: ModeOption = "services",
    bus: BusOption = "postgres",
    seed: SeedOption = 1,
    times: TimesOption = 4,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Delete the event log under load: it is filled again, and events that are delivered again have no effect."""
    _restart("broker-wipe", mode, bus, seed, times, output)


def broker_kill_command(
    *,
    mode: ModeOption = "services",
    seed: SeedOption = 1,
    times: TimesOption = 6,
    output: OutputOption = Path("out/chaos"),
) -> None:
    """Kill the NATS server under load, and start it again with its data."""
    _restart("broker-kill", mode, "nats", seed, times, output)


def _restart(what: Break, mode: Mode, bus: Bus, seed: int, times: int, output: Path) -> None:
    options = ServersOptions(what=what, mode=mode, bus=bus, seed=seed, times=times)
    run_campaign(lambda folder, say: servers(options, folder, say), output, f"{what}-{mode}-{bus}")

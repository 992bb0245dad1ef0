"""`plumb drill`: inject the fault of each alert, and measure how long the alert takes to fire and to clear."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.alert_drill.drill import DrillResult, drill
from observability.alert_drill.environment import DrillOptions
from observability.alert_drill.faults.registry import FAULTS, NOT_DRILLED, SHARD_FAULTS
from observability.cli.exit_codes import CommandFailed
from services.infra.atomic_file import write_json
from services.local.processes.signals import run_interruptible


def drill_command(
    *,
    alerts: Annotated[list[str] | None, typer.Argument(help="Alerts to drill. Default: all.")] = None,
    scale: Annotated[int, typer.Option(min=1, help="A minute in the rules takes 60 / SCALE seconds.")] = 60,
    rate: Annotated[float, typer.Option(help="Orders per second during the drill.")] = 8.0,
    healthy: Annotated[
        float, typer.Option(min=0, help="Seconds before each fault during which no alert may fire.")
    ] = 60.0,
    quiet: Annotated[float, typer.Option(min=0, help="Seconds without a fault at the end.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the load.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all drills.")] = Path("out/drill"),
) -> None:
    """Inject a fault for each alert, and measure how long Alertmanager takes to report and to clear it.

    The drill runs a platform of its own, and each fault begins with an empty Prometheus. Needs `prometheus` and
    `prometheus-alertmanager` on PATH. Ages, such as that of a stuck order, are not scaled.

    Exit codes: 0 each alert fired and cleared, 1 an alert did not, or fired without its fault, 2 the drill failed.
    """
    console = Console(highlight=False)
    faults = (*FAULTS, *SHARD_FAULTS)
    unknown = set(alerts or ()) - {fault.alert for fault in faults}
    if unknown:
        raise CommandFailed(f"no fault for {', '.join(sorted(unknown))}")
    chosen = [fault for fault in faults if not alerts or fault.alert in alerts]
    directory = output / time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    directory.mkdir(parents=True, exist_ok=True)
    options = DrillOptions(folder=directory, scale=scale, rate_per_second=rate, healthy_seconds=healthy, seed=seed)
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - began:7.1f} s  {line}", markup=False, soft_wrap=True)

    say(f"{len(chosen)} faults, each after {healthy:.0f} s without one")
    result = run_interruptible(
        lambda: drill(options, chosen, quiet_seconds=quiet, say=say), again=lambda: console.print("already stopping")
    )
    write_json(directory / "result.json", result.as_document())
    _print(console, result)
    console.print(f"written to {directory / 'result.json'}", markup=False)
    raise typer.Exit(0 if result.holds else 1)


def _print(console: Console, result: DrillResult) -> None:
    table = Table("alert", "severity", "detected s", "cleared s", "fault", "other alerts", box=None)
    for row in result.rows:
        times = ["-" if each is None else f"{each:.1f}" for each in (row.detected_seconds, row.cleared_seconds)]
        table.add_row(row.alert, row.severity, *times, row.fault, ", ".join(row.collateral))
    console.print(table)
    found = result.expressions
    console.print(
        f"{found['expressions']} expressions of dashboards and rules: {found['with_data']} returned data, "
        f"{found['not_zero']} a value other than 0"
    )
    for alert, reason in NOT_DRILLED.items():
        console.print(f"not drilled: {alert}, because {reason}", markup=False)

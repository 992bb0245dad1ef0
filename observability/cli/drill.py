"""`plumb drill`: does each alert fire when its fault happens, and end when it is over?"""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.alert_drill.drill import DrillResult, drill
from observability.alert_drill.environment import DrillOptions
from observability.alert_drill.faults.registry import ELSEWHERE, FAULTS
from observability.chaos.campaigns.kill import write_whole
from observability.load.errors import LoadError
from observability.testbed.errors import TestbedError
from services.local.processes.errors import LocalError
from services.local.processes.signals import Interrupted, run_interruptible

_EXIT_FAILED = 2
_EXIT_SIGNAL_BASE = 128


def drill_command(
    *,
    alerts: Annotated[list[str] | None, typer.Argument(help="Only these alerts; all without any.")] = None,
    scale: Annotated[int, typer.Option(min=1, help="A minute of the rules lasts 60 / SCALE seconds.")] = 60,
    rate: Annotated[float, typer.Option(help="Orders a second meanwhile.")] = 8.0,
    healthy: Annotated[float, typer.Option(min=0, help="Seconds before each fault in which nothing may fire.")] = 60.0,
    quiet: Annotated[float, typer.Option(min=0, help="Seconds without a fault at the end.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Fixes the load.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all drills.")] = Path("out/drill"),
) -> None:
    """Break a platform of its own in one way after the other, and wait for the alert through Alertmanager.

    Each fault begins with an empty Prometheus. Needs `prometheus` and `prometheus-alertmanager` on PATH. Ages, such as
    that of an order which is stuck, are not scaled.

    Exit codes: 0 each alert fired and ended, 1 one did not or fired unasked, 2 it could not be carried out.
    """
    console = Console(highlight=False)
    unknown = set(alerts or ()) - {fault.alert for fault in FAULTS}
    if unknown:
        typer.echo(f"plumb drill: no fault for {', '.join(sorted(unknown))}", err=True)
        raise typer.Exit(_EXIT_FAILED)
    chosen = [fault for fault in FAULTS if not alerts or fault.alert in alerts]
    directory = output / time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    directory.mkdir(parents=True, exist_ok=True)
    options = DrillOptions(folder=directory, scale=scale, rate_per_second=rate, healthy_seconds=healthy, seed=seed)
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - began:7.1f} s  {line}", markup=False, soft_wrap=True)

    say(f"{len(chosen)} faults, each after {healthy:.0f} s without one")
    try:
        result = run_interruptible(
            lambda: drill(options, chosen, quiet_seconds=quiet, say=say),
            again=lambda: console.print("already stopping"),
        )
    except (LocalError, LoadError, TestbedError) as error:
        typer.echo(f"plumb drill: {error}", err=True)
        raise typer.Exit(_EXIT_FAILED) from error
    except Interrupted as interruption:
        typer.echo("plumb drill: interrupted; everything is stopped", err=True)
        raise typer.Exit(_EXIT_SIGNAL_BASE + interruption.number) from interruption
    write_whole(directory / "result.json", result.as_document())
    _print(console, result)
    console.print(f"written to {directory / 'result.json'}", markup=False)
    raise typer.Exit(0 if result.holds else 1)


def _print(console: Console, result: DrillResult) -> None:
    table = Table("alert", "severity", "detected s", "cleared s", "fault", "beside it", box=None)
    for row in result.rows:
        times = ["-" if each is None else f"{each:.1f}" for each in (row.detected_seconds, row.cleared_seconds)]
        table.add_row(row.alert, row.severity, *times, row.fault, ", ".join(row.collateral))
    console.print(table)
    found = result.expressions
    console.print(
        f"{found['expressions']} expressions of dashboards and rules: {found['with_data']} found data, "
        f"{found['not_zero']} something other than 0"
    )
    for alert, reason in ELSEWHERE.items():
        console.print(f"not drilled: {alert}, since {reason}", markup=False)

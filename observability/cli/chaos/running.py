"""Common parts of the campaign commands: options, the run until its end or a signal, and the folder of the report."""

import secrets
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from observability.chaos.campaign_context import Say
from observability.chaos.campaign_report import Report
from observability.chaos.terminal import print_report
from observability.cli.exit_codes import SIGNAL_BASE, CommandFailed
from services.infra.atomic_file import write_json
from services.local.platform.endpoints import Bus, Mode
from services.local.processes.signals import Interrupted, run_interruptible

Result = TypeVar("Result")

EXIT_VIOLATED = 1

ModeOption = Annotated[Mode, typer.Option(help="Separate services, or one process that runs the same code.")]
BusOption = Annotated[Bus, typer.Option(help="Event log: a database, or a NATS server.")]
SeedOption = Annotated[int, typer.Option(help="Seed of everything that is drawn, such as orders, processes and times.")]
ShardsOption = Annotated[int, typer.Option(min=1, max=8, help="Servers of orders.")]
ReplicasOption = Annotated[int, typer.Option(min=0, max=4, help="Streaming replicas of each PostgreSQL server.")]
OutputOption = Annotated[Path, typer.Option(help="Folder of all campaigns.")]
TimesOption = Annotated[int, typer.Option(min=1, help="Repetitions.")]


def run_campaign(campaign: Callable[[Path, Say], Coroutine[Any, Any, Report]], output: Path, name: str) -> None:
    """Run a campaign, print and write its report, and exit with 1 if something is violated."""
    console = Console(highlight=False)
    directory = make_directory(output, name)
    began = time.monotonic()

    def say(sentence: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {sentence}", markup=False, soft_wrap=True)

    report = run_until_signal(lambda: campaign(directory, say), console)
    report.figures["seconds"] = round(time.monotonic() - began, 1)
    write_json(directory / "result.json", report.as_document())
    print_report(console, report)
    console.print(f"written to {directory / 'result.json'}", markup=False)
    raise typer.Exit(EXIT_VIOLATED if report.violations else 0)


def run_until_signal(
    campaign: Callable[[], Coroutine[Any, Any, Result]], console: Console, *, hint: str = ""
) -> Result:
    """Run to the end, or until a signal; `hint` says how to continue then."""
    try:
        return run_interruptible(campaign, again=lambda: console.print("already stopping"))
    except Interrupted as interruption:
        message, status = f"interrupted; everything is stopped{hint}", SIGNAL_BASE + interruption.number
        raise CommandFailed(message, status=status) from interruption


def make_directory(output: Path, name: str) -> Path:
    """Make a folder for one campaign, named by the campaign and its start in UTC. Raises OSError."""
    directory = output / f"{name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
    directory.mkdir(parents=True)
    return directory

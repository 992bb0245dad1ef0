"""`plumb lab`: does measuring before optimising work? Experiments with known bottlenecks, diagnosed and put right."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from observability.lab.errors import LoadError
from observability.lab.experiments.catalogue import experiments, find_experiment
from observability.lab.trial.errors import TrialError
from observability.lab.trial.records import FULL, QUICK, Sizes
from observability.lab.trial.summary import summary_line
from observability.lab.trial.trial import Trial
from services.local.errors import LocalError
from services.local.signals import Interrupted, run_interruptible

commands = typer.Typer(
    help="Observe, name the bottleneck, predict what its fix gains, apply it, and measure again.", no_args_is_help=True
)
_EXIT_WRONG = 1
_EXIT_FAILED = 3
_EXIT_SIGNAL_BASE = 128


@commands.command("list")
def list_command() -> None:
    """List the experiments."""
    console = Console()
    for experiment in experiments().values():
        console.print(f"[bold]{experiment.name}[/] ({experiment.kind})", highlight=False)
        console.print(f"  {escape(experiment.hypothesis)}", highlight=False, soft_wrap=True)


@commands.command("run")
def run_command(
    *,
    name: Annotated[str | None, typer.Argument(help="An experiment of `plumb lab list`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Run all of them.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Short blocks, and few: a look, not a measurement.")] = False,
    seed: Annotated[int, typer.Option(help="Draws place, severity, rate, arrivals and baskets.")] = 1,
    output: Annotated[Path, typer.Option(help="Each trial has a folder in here, by experiment and seed.")] = Path(
        "out/lab"
    ),
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew what is there already.")] = False,
) -> None:
    """Run one experiment or all: the verdict, what was predicted, and what came.

    A trial that was cut off goes on where it was when the same command is given again.

    Exit codes: 0 all right, 1 a wrong verdict or an experiment that did not show what it must, 3 something failed,
    130 interrupted.
    """
    chosen = list(experiments()) if every else [name] if name else []
    if not chosen:
        raise typer.BadParameter("name an experiment of `plumb lab list`, or give --all")
    console = Console()
    sizes = QUICK if quick else FULL
    passed = [_run(each, seed=seed, sizes=sizes, output=output, fresh=fresh, console=console) for each in chosen]
    if every:
        console.print(f"{sum(passed)} of {len(passed)} experiments as they must be", style="bold", highlight=False)
    raise typer.Exit(0 if all(passed) else _EXIT_WRONG)


def _run(name: str, *, seed: int, sizes: Sizes, output: Path, fresh: bool, console: Console) -> bool:
    try:
        experiment = find_experiment(name)
        path = trial_folder(output, name, seed, sizes, fresh=fresh)
        trial = Trial(
            experiment,
            seed=seed,
            sizes=sizes,
            path=path,
            say=lambda sentence: console.print(escape(sentence), highlight=False, soft_wrap=True, style="dim"),
            on_progress=lambda _progress: None,
        )
        result = run_interruptible(trial.run, again=lambda: console.print("already stopping"))
    except (LocalError, LoadError, TrialError) as error:
        _fail(str(error), _EXIT_FAILED)
    except Interrupted as interruption:
        _fail("interrupted; the same command goes on from here", _EXIT_SIGNAL_BASE + interruption.number)
    console.print(escape(summary_line(trial, result)), highlight=False, soft_wrap=True)
    return result.passed


def trial_folder(output: Path, name: str, seed: int, sizes: Sizes, *, fresh: bool) -> Path:
    """Return where a trial lies; a fresh one lies beside those that were there."""
    stem = f"{name}-{seed}" + ("-quick" if sizes == QUICK else "")
    path = output / stem
    number = 1
    while fresh and path.exists():
        number += 1
        path = output / f"{stem}-{number}"
    return path


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"plumb lab: {message}", err=True)
    raise typer.Exit(code)

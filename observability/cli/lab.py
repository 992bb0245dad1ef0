"""`plumb lab`: run experiments with a known bottleneck, and score the diagnosis."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from observability.cli.exit_codes import SIGNAL_BASE, CommandFailed
from observability.cli.group import new_app
from observability.experiments.registry import experiments, find_experiment
from observability.experiments.runner.accuracy import (
    SAME_TWICE,
    Answered,
    FinishedTrial,
    baseline_accuracy,
    confusion,
    falsely_named,
    is_good_enough,
    prediction_sentences,
    share_wrong,
    significant,
)
from observability.experiments.runner.artifacts import FULL, GLANCE, QUICK, Folder
from observability.experiments.runner.errors import TrialError, TrialSkipped
from observability.experiments.runner.ledger import Ledger
from observability.experiments.runner.scoring import Score
from observability.experiments.runner.suite import Suite, SuiteOptions, asked, names
from observability.load.errors import LoadError
from observability.report.experiment.files import write_report, write_summary
from observability.report.experiment.summary import ratio_text, summary_line
from services.local.processes.signals import Interrupted, run_interruptible

T = TypeVar("T")
MOST_SIGNIFICANT = 0.15
commands = new_app(
    help_text="Run experiments: diagnose a known bottleneck, predict what its fix gains, apply it, and measure again."
)
_EXIT_WRONG = 1


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
    name: Annotated[str | None, typer.Argument(help="Name of an experiment: see `plumb lab list`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Run all experiments.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Few and short blocks: a check, not a measurement.")] = False,
    glance: Annotated[
        bool,
        typer.Option(
            "--glance", help="The short form that `plumb demo` ends with, at half of this machine's capacity."
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Seed of all that is drawn: where the bottleneck is, how severe, arrivals, baskets.")
    ] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all trials; each gets a folder in it.")] = Path("out/lab"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start trials over, even if their folders exist.")] = False,
) -> None:
    """Run one experiment or all, and print the verdict, the prediction and the measured gain.

    After an interruption the same command continues where it stopped.

    Exit codes: 0 all passed, 1 a verdict was wrong or an experiment did not show its effect, 3 something failed,
    130 interrupted.
    """
    chosen = names() if every else (name,) if name else ()
    if not chosen:
        raise typer.BadParameter("give the name of an experiment, from `plumb lab list`, or --all")
    for each in chosen:
        _known(each)
    console = Console()
    if quick and glance:
        raise typer.BadParameter("give either --quick or --glance")
    sizes = QUICK if quick else GLANCE if glance else FULL
    options = SuiteOptions(output=output, sizes=sizes, fresh=fresh)

    finished, skipped = _in_series(lambda series: _run_each(series, chosen, seed, console), options, console)
    if skipped and not every:
        raise CommandFailed(skipped[0])
    passed = sum(each.score.right if quick or glance else each.score.passed for each in finished)
    if every:
        for sentence in prediction_sentences(finished):
            _say(console, sentence)
        _say(console, f"{passed} of {len(chosen) - len(skipped)} experiments passed", style="bold")
    raise typer.Exit(0 if passed == len(chosen) - len(skipped) else _EXIT_WRONG)


async def _run_each(
    series: Suite, chosen: Sequence[str], seed: int, console: Console
) -> tuple[list[FinishedTrial], list[str]]:
    """Run trials, and print each result; return those that finished, and why others were skipped."""
    finished, skipped = [], []
    for each in chosen:
        try:
            trial, result = await series.run(each, seed)
        except TrialError as error:
            is_skipped = isinstance(error, TrialSkipped)
            _say(console, f"{each}: {'skipped' if is_skipped else 'not finished'}, {error}")
            if is_skipped:
                skipped.append(str(error))
            continue
        report, _ = await asyncio.to_thread(write_report, trial.folder)
        _say(console, summary_line(each, result))
        _say(console, f"  report {report}", style="dim")
        finished.append(FinishedTrial(each, trial.verdict, result))
    return finished, skipped


@commands.command("runs")
def runs_command(
    *,
    output: Annotated[Path, typer.Option(help="Folder of the trials, as given to `plumb lab run`.")] = Path("out/lab"),
) -> None:
    """List every trial that was started in a folder, with its outcome.

    Exit codes: 0 listed, 3 the list cannot be read.
    """
    console = Console()
    runs = Ledger(output).runs()
    for run in runs:
        _say(console, f"{run.at}  {run.experiment}, seed {run.seed}, {run.folder}: {run.outcome}")
    _say(console, f"{len(runs)} runs", style="bold")


@commands.command("score")
def score_command(
    *,
    seeds: Annotated[int, typer.Option(help="Trials of each experiment.")] = 3,
    first: Annotated[int, typer.Option(help="First seed; the others follow it.")] = 1,
    least_negatives: Annotated[int, typer.Option("--negatives", help="Trials without a bottleneck, at least.")] = 20,
    output: Annotated[Path, typer.Option(help="Folder of all trials; each gets a folder in it.")] = Path(
        "out/lab-score"
    ),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start trials over, even if their folders exist.")] = False,
) -> None:
    """Diagnose every experiment under several seeds, and count how often the diagnosis is wrong.

    Exit codes: 0 at most one in ten is wrong, and each experiment is right for two seeds of three; 1 otherwise;
    3 something failed; 130 interrupted.
    """
    console = Console()

    async def run(series: Suite) -> list[Answered]:
        answers = []
        for name, seed in asked(first=first, seeds=seeds, least_negatives=least_negatives):
            try:
                answer = await series.answer(name, seed)
            except TrialSkipped as error:
                _say(console, f"{name}, seed {seed}: skipped, {error}")
                continue
            said = f"WRONG, {answer.wrong}" if answer.wrong else "right"
            _say(console, f"{name}, seed {seed}: {said}; {answer.verdict.sentence()}")
            answers.append(answer)
        return answers

    answers = _in_series(run, SuiteOptions(output=output, sizes=QUICK, fresh=fresh), console)
    for truth, named in confusion(answers):
        _say(console, f"  {truth:18} {', '.join(f'{what} {count}' for what, count in sorted(named.items()))}")
    for way, found in baseline_accuracy(answers).items():
        _say(console, f"  {way:28} {found}", style="dim")
    _say(console, falsely_named(answers))
    _say(console, share_wrong(answers), style="bold")
    raise typer.Exit(0 if is_good_enough(answers) else _EXIT_WRONG)


@commands.command("aa")
def aa_command(
    *,
    runs: Annotated[int, typer.Option(help="Comparisons of the platform with itself.")] = 20,
    output: Annotated[Path, typer.Option(help="Folder of all trials; each gets a folder in it.")] = Path("out/lab-aa"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start trials over, even if their folders exist.")] = False,
) -> None:
    """Compare the healthy platform with itself, and count how often the difference is significant.

    The primary metric, fixed beforehand, is the ratio of the p95 with its 90 % interval: one run in ten is significant
    by chance.

    Exit codes: 0 at most 15 % are significant, 1 more are, 3 something failed, 130 interrupted.
    """
    console = Console()

    async def run(series: Suite) -> list[Score]:
        scores = []
        for seed in range(1, runs + 1):
            _, score = await series.run(SAME_TWICE, seed)
            _say(console, f"run {seed}: {ratio_text(score)}")
            scores.append(score)
        return scores

    scores = _in_series(run, SuiteOptions(output=output, sizes=QUICK, fresh=fresh), console)
    found = significant(scores)
    _say(console, f"{found} of {len(scores)} significant", style="bold")
    raise typer.Exit(0 if found <= MOST_SIGNIFICANT * len(scores) else _EXIT_WRONG)


@commands.command("report")
def report_command(
    directory: Annotated[Path, typer.Argument(help="Folder of a finished trial, as `plumb lab run` wrote it.")],
    *,
    to: Annotated[
        Path | None, typer.Option(help="Second file for the summary, such as docs/lab-walkthrough.md.")
    ] = None,
) -> None:
    """Write a trial's report again from its folder: report.html and summary.md, byte for byte the same.

    Exit codes: 0 done, 3 the folder holds no finished trial, or cannot be read or written.
    """
    written = list(write_report(Folder(directory)))
    if to is not None:
        written.append(write_summary(Folder(directory), to))
    for path in written:
        typer.echo(path)


def _in_series(run: Callable[[Suite], Coroutine[Any, Any, T]], options: SuiteOptions, console: Console) -> T:
    """Run trials on one testbed. Raises what stopped them."""

    async def opened() -> T:
        async with Suite.open(options, say=lambda sentence: _say(console, sentence, style="dim")) as series:
            return await run(series)

    try:
        return run_interruptible(opened, again=lambda: console.print("already stopping; this takes a few seconds"))
    except Interrupted as interruption:
        status = SIGNAL_BASE + interruption.number
        raise CommandFailed("interrupted; run the same command to continue", status=status) from interruption


def _known(name: str) -> None:
    try:
        find_experiment(name)
    except LoadError as error:
        raise typer.BadParameter(str(error)) from error


def _say(console: Console, sentence: str, *, style: str = "") -> None:
    console.print(escape(sentence), style=style, highlight=False, soft_wrap=True)

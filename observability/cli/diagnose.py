"""`plumb diagnose`: where is the bottleneck of a system that was observed, and what would its fix gain?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from observability.analysis.diagnosis import Answer, Verdict, diagnose
from observability.analysis.observation import ObservationUnreadable, read_observation
from observability.analysis.whatif import Prediction

_EXIT = {Answer.NONE: 0, Answer.FOUND: 1, Answer.CANNOT_TELL: 2}
_EXIT_FAILED = 3


def diagnose_command(
    directory: Annotated[
        Path, typer.Argument(help="A folder with *trace*.jsonl: OTLP/JSON, an export request a line.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole verdict as JSON.")] = False,
) -> None:
    """Name the bottleneck of what was observed: its class, where it is, on what evidence, and what a fix would gain.

    Beside it stand calls that were tried again, and how long requests took to take effect at each consumer. Traces are
    enough; scrapes of /metrics, sampled database sessions, and what clients saw and were promised make it surer.
    docs/diagnose.md says how these files look. Nothing of a system needs to be known beforehand.

    Exit codes: 0 there is no bottleneck, 1 found one, 2 cannot tell, 3 the folder cannot be read.
    """
    try:
        verdict = diagnose(read_observation(directory))
    except (ObservationUnreadable, OSError) as error:
        typer.echo(f"plumb diagnose: {error}", err=True)
        raise typer.Exit(_EXIT_FAILED) from error
    if as_json:
        typer.echo(orjson.dumps(verdict, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(Console(), verdict)
    raise typer.Exit(_EXIT[verdict.answer])


def _print(console: Console, verdict: Verdict) -> None:
    def say(sentence: str, style: str = "") -> None:
        console.print(escape(sentence), style=style, highlight=False, soft_wrap=True)

    say(verdict.sentence(), "bold")
    for reason in verdict.reasons:
        say(f"  {reason}")
    if verdict.prediction and verdict.answer is Answer.FOUND:
        for sentence in _predicted(verdict.prediction):
            say(f"  {sentence}")
    for other in verdict.also:
        say(f"  also: {other}")
    for effect in verdict.effects:
        say(f"  {effect.sentence()}")
    if verdict.trace_ids:
        say(f"  traces: {', '.join(verdict.trace_ids)}", "dim")


def _predicted(told: Prediction) -> Iterator[str]:
    if told.goodput is not None:
        before, after = told.goodput.before, told.goodput.after
        yield (
            f"fix: {before.value:.1f} requests a second that are of use -> {after.value:.1f} "
            f"(90 % {after.low:.1f}-{after.high:.1f}), {told.predictor}"
        )
        return
    for name, after in told.after.items():
        yield (
            f"fix: {name} {told.before[name] * 1e3:.1f} ms -> {after.value * 1e3:.1f} ms "
            f"(90 % {after.low * 1e3:.1f}-{after.high * 1e3:.1f} ms), {told.predictor}"
        )
    if not told.trusted:
        yield "the prediction is beyond what its formula is good for: take it as a direction"

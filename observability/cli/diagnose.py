"""`plumb diagnose`: name the bottleneck of an observed system, and predict what its fix gains."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from observability.analysis.bottleneck import Bottleneck
from observability.analysis.comparison import Estimate
from observability.analysis.diagnosis import diagnose
from observability.analysis.observation import Observation
from observability.analysis.observation_folder import ObservationUnreadable, read_observation
from observability.analysis.selection import select
from observability.analysis.verdict import Answer, Verdict
from observability.analysis.whatif import Prediction
from observability.cli.exit_codes import CommandFailed
from observability.live.download import Wanted, download
from observability.live.http_client import DownloadLimits, ReadOnlyClient, base_url, headers_from_environment
from observability.live.jaeger import JaegerSource
from observability.live.tempo import TempoSource
from observability.live.time_slices import earlier, window_since

_EXIT = {Answer.NONE: 0, Answer.FOUND: 1, Answer.CANNOT_TELL: 2}
_UNREADABLE = 3
_MOST_UNREAD = 10
# The folder within a saved one that holds the baseline.
_BASELINE = "baseline"


def _print_schema(asked: bool) -> None:  # noqa: FBT001 - Typer's way to call it
    if asked:
        # Takes a third of a second to import.
        from observability.analysis.verdict_schema import verdict_schema  # noqa: PLC0415

        typer.echo(orjson.dumps(verdict_schema(), option=orjson.OPT_INDENT_2).decode())
        raise typer.Exit


def _in_a_folder(path: Path | None) -> Path | None:
    if path and not path.parent.is_dir():
        raise CommandFailed(f"no folder {path.parent} for --html: name a file in one that exists", status=_UNREADABLE)
    return path


def diagnose_command(  # noqa: PLR0913 - an option each
    source: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Folder, or one file, with traces of OTLP, Jaeger, Zipkin or Tempo."),
    ] = None,
    *,
    jaeger: Annotated[str, typer.Option(metavar="URL", help="Read the traces of a Jaeger instead of a folder.")] = "",
    tempo: Annotated[str, typer.Option(metavar="URL", help="Read the traces of a Tempo instead of a folder.")] = "",
    prometheus: Annotated[
        str, typer.Option(metavar="URL", help="Read metrics of a Prometheus, too. Only with --jaeger or --tempo.")
    ] = "",
    service: Annotated[str, typer.Option(help="Diagnose the requests to this service only.")] = "",
    operation: Annotated[str, typer.Option(help="Diagnose only this operation of --service: its span's name.")] = "",
    since: Annotated[str, typer.Option(help="How far back from now to read: 90s, 15m, 2h or 1d.")] = "15m",
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Compare with these traces of the same system, from a time without problems."),
    ] = None,
    baseline_since: Annotated[
        str, typer.Option(help="Compare with a window of the same length, this much earlier: 1d. For live stores only.")
    ] = "",
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep what was read in this new folder, for plumb diagnose DIR.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole verdict as JSON.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=_in_a_folder, help="Write the verdict as a page, too: one HTML file."),
    ] = None,
    _schema: Annotated[
        bool,
        typer.Option(
            "--json-schema",
            callback=_print_schema,
            is_eager=True,
            help="Print the JSON schema of the verdict and exit.",
        ),
    ] = False,
) -> None:
    """Name the bottleneck of a system from its traces: its class, its place, the evidence, and what a fix gains.

    Also lists calls that were retried, and the delay until each consumer of events is done. Traces are enough; scrapes
    of /metrics, sampled database sessions, and the latencies and objectives of clients make the answer more certain.
    docs/diagnose.md describes these files. Works on any system, without configuration.

    Exit codes: 0 there is no bottleneck, 1 found one, 2 cannot tell, 3 nothing could be read, or the command failed.
    """
    live = bool(jaeger or tempo)
    _check(
        (bool(operation and not service), "--operation needs --service"),
        (sum(map(bool, (source, jaeger, tempo))) != 1, "name one source: a folder, --jaeger or --tempo"),
        (bool(prometheus or save) and not live, "--prometheus and --save need --jaeger or --tempo"),
        (
            bool(baseline_since) and (not live or baseline is not None),
            "--baseline-since needs --jaeger or --tempo, and no --baseline",
        ),
    )
    with _recorded(save) as folder:
        if source is None:
            now = window_since(since)
            windows = {folder: now}
            if baseline_since:
                baseline = folder / _BASELINE
                windows[baseline] = earlier(now, baseline_since)
            for into, window in windows.items():
                wanted = Wanted(service, operation, window)
                _download(wanted, jaeger=jaeger, tempo=tempo, prometheus=prometheus, into=into)
        seen = read_observation(source or folder)
        before = read_observation(baseline) if baseline else None
    if seen.coverage and not service:
        service, operation = seen.coverage.service, seen.coverage.operation
    if service:
        seen, before = _select(seen, before, service, operation)
    verdict = diagnose(seen, before)
    if html:
        _write_page(html, verdict, seen, str(source) if source else "")
    if as_json:
        typer.echo(orjson.dumps(verdict, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(Console(), verdict)
    raise typer.Exit(_EXIT[verdict.answer])


def _check(*mistakes: tuple[bool, str]) -> None:
    for made, message in mistakes:
        if made:
            raise CommandFailed(message, status=_UNREADABLE)


def _download(wanted: Wanted, *, jaeger: str, tempo: str, prometheus: str, into: Path) -> None:
    """Write the traces and metrics of a window into a folder, which is made. Each window has the whole budget."""
    into.mkdir(exist_ok=True)
    client = ReadOnlyClient(limits=DownloadLimits(), headers=headers_from_environment())
    store = JaegerSource(base_url(jaeger), client) if jaeger else TempoSource(base_url(tempo), client)
    download(store, wanted, client=client, prometheus=prometheus, folder=into, say=_say_on_stderr)


def _select(
    seen: Observation, baseline: Observation | None, service: str, operation: str
) -> tuple[Observation, Observation | None]:
    """Return both observations of the requests to a service. Raises ObservationUnreadable."""
    chosen = select(seen, service=service, operation=operation)
    try:
        return chosen, baseline and select(baseline, service=service, operation=operation)
    except ObservationUnreadable as error:
        raise ObservationUnreadable(f"in the baseline: {error}") from error


def _write_page(path: Path, verdict: Verdict, seen: Observation, source: str) -> None:
    # Imported here, because only a page needs the templates.
    from observability.report.diagnosis.page import render  # noqa: PLC0415

    page = render(verdict, seen, source=source or (seen.coverage.source if seen.coverage else "a live store"))
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(
            f"cannot write {path} ({error.strerror}): name another file with --html", status=_UNREADABLE
        ) from error


@contextmanager
def _recorded(save: Path | None) -> Iterator[Path]:
    """Yield the folder to download into: a new one to keep, or one that is removed."""
    if save is None:
        with TemporaryDirectory(prefix="plumb-diagnose-") as folder:
            yield Path(folder)
        return
    if save.exists() and (not save.is_dir() or any(save.iterdir())):
        raise CommandFailed(f"{save} exists and is no empty folder: name a new one with --save", status=_UNREADABLE)
    save.mkdir(parents=True, exist_ok=True)
    yield save


def _say_on_stderr(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _print(console: Console, verdict: Verdict) -> None:
    def say(sentence: str, style: str = "") -> None:
        console.print(escape(sentence), style=style, highlight=False, soft_wrap=True)

    say(verdict.sentence(), "bold")
    for sentence in (*verdict.reasons, *_gain(verdict)):
        say(f"  {sentence}")
    if verdict.time_table:
        say("where the time goes:")
    for sentence in verdict.where_the_time_goes():
        say(f"  {sentence}")
    if verdict.classes:
        say("what the fixes of known classes would save (they may overlap):")
    for sentence in verdict.what_classes_account_for():
        say(f"  {sentence}")
    for effect in verdict.effects:
        say(f"  {effect.sentence()}")
    for sentence in _input(verdict):
        say(f"  {sentence}")
    if verdict.trace_ids:
        say(f"  traces: {', '.join(verdict.trace_ids)}", "dim")


def _gain(verdict: Verdict) -> Iterator[str]:
    """Yield what the fix gains, and what else would."""
    if mean := verdict.mean_after_fix_seconds:
        yield f"fix: {_change('mean', verdict.mean_seconds, mean)}, minus the time that the fix saves"
    if verdict.prediction and verdict.answer is Answer.FOUND:
        is_lag = verdict.bottleneck is Bottleneck.CONSUMER_LAG
        yield from _predicted(verdict.prediction, "messages" if is_lag else "useful requests")
    yield from (f"also: {other}" for other in verdict.also)


def _input(verdict: Verdict) -> Iterator[str]:
    """Yield what was read of a live store, and what could not be read."""
    if verdict.coverage:
        yield verdict.coverage.sentence()
    for unread in verdict.unread[:_MOST_UNREAD]:
        yield unread.sentence()
    if len(verdict.unread) > _MOST_UNREAD:
        yield f"{len(verdict.unread) - _MOST_UNREAD} more things were not read: --json lists them"


def _predicted(prediction: Prediction, what: str) -> Iterator[str]:
    if prediction.goodput is not None:
        before, after = prediction.goodput.before, prediction.goodput.after
        yield (
            f"fix: {before.value:.1f} {what} per second -> {after.value:.1f} "
            f"(90 % {after.low:.1f}-{after.high:.1f}), {prediction.predictor}"
        )
        return
    for name, after in prediction.after.items():
        yield f"fix: {_change(name, prediction.before[name], after)}, {prediction.predictor}"
    if not prediction.trusted:
        yield "the prediction is outside the range of its formula: only its direction is reliable"


def _change(name: str, before: float, after: Estimate) -> str:
    bounds = f"90 % {after.low * 1e3:.1f}-{after.high * 1e3:.1f} ms"
    return f"{name} {before * 1e3:.1f} ms -> {after.value * 1e3:.1f} ms ({bounds})"

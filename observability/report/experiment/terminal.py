"""Result of a trial, printed to the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from observability.analysis.comparison import Estimate
from observability.experiments.runner.scoring import Score
from observability.experiments.runner.trial import Trial
from observability.report.experiment import words
from observability.report.experiment.summary import goodput_text

_MILLISECONDS = 1e3


def print_trial(console: Console, trial: Trial, result: Score) -> None:
    """Print the drawn parameters, the diagnosis, and the prediction beside the measurement."""

    def say(sentence: str, style: str = "") -> None:
        console.print(escape(sentence), style=style, highlight=False, soft_wrap=True)

    verdict = trial.verdict
    say(f"what was wrong   {trial.setting.place}")
    say(f"the diagnosis    {verdict.sentence()}", "bold")
    for reason in verdict.reasons:
        say(f"                 {reason}")
    say(f"that is          {'right' if result.right else f'WRONG: {result.why_wrong}'}", "bold")
    say(f"the fix          {trial.experiment.fix}")
    if result.goodput:
        say(goodput_text(result.goodput))
    if result.forecasts:
        console.print(_table(result))
    for sentence in words.prediction_sentences(result):
        say(sentence, "bold red" if words.missed(result) else "")
    say(words.ratios(result))
    for sentence in words.following_sentences(result):
        say(sentence, "bold")
    if result.invalid_blocks:
        say(
            f"{result.invalid_blocks} blocks are INVALID: this machine had other work; take the figures as a hint",
            "bold red",
        )


def _table(result: Score) -> Table:
    table = Table(title="Latency in milliseconds, with 90 % intervals", title_justify="left")
    for heading in ("", "before", "predicted after", "after", "prediction", "unchanged / after"):
        table.add_column(heading, justify="right")
    for each in result.forecasts:
        same = f"{1 + each.error_if_same:.2f} x"
        figures = map(_text, (each.actual_before, each.predicted, each.actual_after))
        table.add_row(each.quantile, *figures, each.result.value, same)
    return table


def _text(estimate: Estimate) -> str:
    value, low, high = (each * _MILLISECONDS for each in (estimate.value, estimate.low, estimate.high))
    return f"{value:.1f} ({low:.1f}-{high:.1f})"

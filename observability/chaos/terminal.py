"""Terminal output of campaigns: a progress bar, a line a round, and the report."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from observability.chaos.campaign_report import Report
from observability.chaos.campaigns.kill import Campaign, Listener, totals
from observability.chaos.kill_round import RoundResult
from observability.chaos.process_killer import Kill

_PLAIN_LINE_EVERY_SECONDS = 10.0


@contextmanager
def showing(console: Console, campaign: Campaign) -> Iterator[Listener]:
    """Show a progress bar in a terminal; otherwise print a line now and then."""
    planned = campaign.options.rounds * campaign.options.kills_a_round
    planned = min(planned, max(campaign.options.kills, 1))
    columns = (TextColumn("kills"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[last]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("kills", total=planned, completed=campaign.kills, last="")
        due = time.monotonic() + _PLAIN_LINE_EVERY_SECONDS
        kills = campaign.kills

        def on_kill(kill: Kill) -> None:
            nonlocal due, kills
            kills += 1
            where = kill.point or "a random time"
            bar.update(task, advance=1, last=f"{kill.process} at {where}")
            if not console.is_terminal and time.monotonic() > due:
                due = time.monotonic() + _PLAIN_LINE_EVERY_SECONDS
                console.print(f"{kills:,} of {planned:,} kills", highlight=False)

        yield Listener(on_kill=on_kill, on_round=lambda result: console.print(line_of(result), highlight=False))


def line_of(result: RoundResult) -> str:
    """Return a line with a round's result."""
    colour, state = ("red", "VIOLATED") if result.violations else ("green", "holds")
    ends = ", ".join(f"{count:,} {state.lower()}" for state, count in result.orders.items())
    missed = f", {len(result.missed)} of them missed their point" if result.missed else ""
    return (
        f"round {result.number:3}: {result.kills} kills{missed}; {result.requests:,} requests, {ends or 'no orders'}; "
        f"quiet after {result.seconds.get('quiet', 0):.1f} s: [{colour}]{state}[/]"
    )


def print_campaign(console: Console, campaign: Campaign) -> None:
    """Print the totals, the kills of each process, and all violations."""
    table = Table("process", "points", "kills at points", "at random moments", "missed", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    document = campaign.as_document()
    missed = [each["process"] for result in campaign.finished for each in result.missed]
    for process, counts in document["kills_by_point"].items():
        figures = (len(counts), sum(counts.values()), document["random_kills"].get(process, 0), missed.count(process))
        table.add_row(process, *(f"{figure:,}" for figure in figures))
    console.print(table)
    for complaint in campaign.complaints:
        console.print(f"[yellow]incomplete[/]: {escape(complaint)}", soft_wrap=True, highlight=False)
    for violation in campaign.violations:
        console.print(f"[bold red]VIOLATED[/] {escape(violation)}", soft_wrap=True, highlight=False)
    if not campaign.violations:
        console.print(f"{totals(campaign.finished)}: every invariant holds, no answer contradicts another")


def print_report(console: Console, report: Report) -> None:
    """Print a campaign's figures and violations."""
    for name, figure in report.figures.items():
        if isinstance(figure, list) and figure and isinstance(figure[0], dict):
            console.print(_table(name, figure))
        elif isinstance(figure, list):
            for each in figure:
                console.print(f"  {name}: {each}", markup=False, soft_wrap=True)
        else:
            console.print(f"  {name}: {figure}", markup=False, soft_wrap=True)
    counted = ", ".join(f"{name} {found['counted']:,}" for name, found in report.invariants.items())
    console.print(f"  checked: {counted}", markup=False, soft_wrap=True)
    for violation in report.violations:
        console.print(f"[bold red]VIOLATED[/] {escape(violation)}", soft_wrap=True)
    if not report.violations:
        console.print(f"[green]{report.campaign}[/]: every invariant holds, no answer contradicts another")


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of rows with the same keys; counts are written as `WHAT xCOUNT`."""
    table = Table(title=name.replace("_", " "), title_justify="left")
    for key in rows[0]:
        table.add_column(key.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    return table


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{what} x{count}" for what, count in value.items())
    return str(value)

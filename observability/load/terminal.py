"""Terminal output of a run: progress and result."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from observability.analysis.quantiles import fewest_for
from observability.load.judgement import OfferedLoad, count_orders, judge
from observability.load.options import Progress
from observability.load.recorder import OnProgress
from observability.load.result import Latencies, LoadResult, LoadSummary
from observability.load.validity_checks import GateStatus

_PLAIN_LINE_EVERY_SECONDS = 5.0
_ROW_NAMES = {"confirmed": "sold", "transport": "no answer"}
_GATE_COLOURS = {GateStatus.PASSED: "green", GateStatus.FAILED: "red", GateStatus.NOT_CHECKED: "yellow"}


@contextmanager
def showing_progress(console: Console) -> Iterator[OnProgress]:
    """Show a progress bar in a terminal; otherwise print a line every five seconds.

    It is drawn when the run reports, on the run's own loop: a drawing thread would compete with it for the interpreter.
    """
    if not console.is_terminal:
        yield _plain_lines(console)
        return
    columns = (TextColumn("orders"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[waiting]} waiting"))
    with ProgressBar(*columns, TimeElapsedColumn(), console=console, auto_refresh=False) as bar:
        task = bar.add_task("orders", total=None, waiting=0)

        def draw(progress: Progress) -> None:
            waiting = progress.sent - progress.done
            bar.update(task, total=progress.scheduled, completed=progress.done, waiting=waiting, refresh=True)

        yield draw


def print_result(console: Console, result: LoadResult) -> None:
    """Print a run's counts, why orders failed, its latencies, gates and validity."""
    summary = result.summary()
    offered = OfferedLoad(rate_per_second=result.options.rate_per_second)
    judgement = judge(summary, result.host, offered, elapsed_seconds=result.elapsed_seconds)
    console.print(f"[bold]{escape(count_orders(summary))}.[/] {escape(judgement)}", highlight=False, soft_wrap=True)
    console.print(_counts(result, summary))
    console.print(_latency_table(result, summary))
    if result.loop == "closed":
        console.print("Closed loop: the latencies do not include the time that an order waits for its turn.")
    for gate in result.gates:
        colour = _GATE_COLOURS[gate.status]
        console.print(
            f"  [{colour}]{gate.status.value:11}[/] {escape(gate.name)}: {escape(gate.sentence)}", soft_wrap=True
        )
    console.print(_host_line(result), style="dim", highlight=False, soft_wrap=True)
    if not result.valid:
        console.print(
            f"[bold red]INVALID[/]: {escape('; '.join(result.invalid_because))}", soft_wrap=True, highlight=False
        )


def _plain_lines(console: Console) -> OnProgress:
    due_seconds = _PLAIN_LINE_EVERY_SECONDS

    def line(progress: Progress) -> None:
        nonlocal due_seconds
        if progress.elapsed_seconds >= due_seconds:
            due_seconds = progress.elapsed_seconds + _PLAIN_LINE_EVERY_SECONDS
            console.print(f"{progress.done:,} of {progress.scheduled:,} orders after {progress.elapsed_seconds:.0f} s")

    return line


def _counts(result: LoadResult, summary: LoadSummary) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("orders scheduled", f"{summary.scheduled:,}")
    table.add_row("sent", f"{summary.sent:,}")
    table.add_row("sold", f"{summary.confirmed:,}")
    if summary.pending:
        table.add_row("pending", f"{summary.pending:,}")
    for what, reasons in (
        ("rejected", summary.rejected_by_reason),
        ("[red]error[/]", summary.errors_by_reason),
        ("[red]no answer[/]", summary.transport_errors_by_reason),
    ):
        for reason, count in reasons.items():
            table.add_row(f"{what} {escape(reason)}", f"{count:,}")
    table.add_row("answered a second", f"{summary.throughput_per_second:.1f}")
    table.add_row("sold a second", f"{summary.sold_per_second:.1f}")
    table.add_row("elapsed", f"{result.elapsed_seconds:.1f} s")
    return table


def _latency_table(result: LoadResult, summary: LoadSummary) -> Table:
    origin = "intended send time" if result.loop == "open" else "sending"
    table = Table(f"latency from {origin}", "orders", "p50 ms", "p95 ms", "p99 ms", "max ms", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [(_ROW_NAMES.get(name, name), row) for name, row in summary.latency_by_outcome.items()]
    if result.loop == "open" and summary.send_lag is not None:
        rows.append(("send lag", summary.send_lag))
    for name, row in rows:
        cells = (_quantile(row, q, seconds) for q, seconds in ((0.50, row.p50), (0.95, row.p95), (0.99, row.p99)))
        table.add_row(name, f"{row.count:,}", *cells, f"{row.maximum * 1e3:.2f}")
    return table


def _quantile(row: Latencies, q: float, seconds: float) -> str:
    """Return a quantile in milliseconds, or how many orders it needs if there are too few."""
    needed = fewest_for(q)
    return f"{seconds * 1e3:.2f}" if row.count >= needed else f"needs {needed}"


def _host_line(result: LoadResult) -> str:
    host = result.host
    known = [
        ("generator waited for its core", host.generator_wait_seconds),
        *((f"{name} waited for a core", seconds) for name, seconds in host.service_wait_seconds.items()),
        ("stolen by the hypervisor", host.steal_seconds),
    ]
    return ", ".join(f"{what} {seconds:.2f} s" for what, seconds in known if seconds is not None)

"""Result of a demo, printed to the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from observability.analysis.waterfall import bar_text
from observability.report.demo import words
from observability.report.demo.page import component_colours
from observability.report.demo.result import DemoResult, RedTable, Waterfall
from observability.report.pages import duration, milliseconds, short_name

_TABLES = frozenset({"http", "use_cases", "rpc_server", "rpc_client", "events"})
_FEWEST_BAR_COLUMNS = 12
_MOST_BAR_COLUMNS = 60
_NAME_COLUMNS = 40
_FIGURES_COLUMNS = 22
# The six figures of a row, with the space between them.
_ROW_FIGURES_COLUMNS = 50


def print_demo(console: Console, result: DemoResult) -> None:
    """Print the content of the report without its plots."""
    console.print()
    console.print(f"[bold]{escape(words.headline(result))}[/]", highlight=False)
    console.print(_orders(result))
    for table in result.tables:
        if table.key in _TABLES:
            console.print(_red(table, name_columns=console.width - _ROW_FIGURES_COLUMNS))
    console.print(
        "Rejected: a correct negative answer, such as out of stock. Failed: an error of the platform.",
        style="dim",
    )
    colours = component_colours(result.waterfalls)
    for waterfall in result.waterfalls:
        _print_waterfall(console, waterfall, colours)
    _print_checks(console, result)
    phases = result.phases
    console.print(
        f"set-up {phases.set_up_seconds:.1f} s, load {phases.load_seconds:.1f} s, until all effects"
        f" {phases.settle_seconds:.1f} s, stop {phases.stop_seconds:.1f} s",
        highlight=False,
    )


def _orders(result: DemoResult) -> Table:
    orders = result.orders
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("placed", f"{orders.sent:,} of {orders.scheduled:,}")
    table.add_row("sold", f"{orders.confirmed:,} ({words.share(orders.confirmed, orders.sent)})")
    for reason, count in orders.rejected.items():
        table.add_row(f"rejected {escape(reason)}", f"{count:,} ({words.share(count, orders.sent)})")
    if orders.pending:
        table.add_row("pending", f"{orders.pending:,}")
    for what, by_reason in (("error", orders.errors), ("no answer", orders.unanswered)):
        for reason, count in by_reason.items():
            table.add_row(f"[red]{what}[/] {escape(reason)}", f"{count:,}")
    table.add_row("answered", f"{orders.throughput_per_second:.1f} orders/s")
    for figure in result.quantiles:
        name = f"latency of sold {words.quantile_name(figure.q)}"
        table.add_row(name, f"{duration(figure.seconds)} (95 % interval {words.interval(figure)})")
    if few := words.too_few(result):
        table.add_row("missing", few)
    for effect in result.effects:
        table.add_row(escape(effect.name), f"{words.quantiles(effect)} ({effect.count:,})")
    return table


def _red(table: RedTable, *, name_columns: int) -> Table:
    columns = ("count", "1/s", "rejected", "failed", "p50 ms", "p95 ms")
    drawn = Table(table.title, *columns, box=None, pad_edge=False)
    drawn.columns[0].no_wrap, drawn.columns[0].max_width = True, name_columns
    for column in drawn.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for row in table.rows:
        quantiles = ("-" if each is None else milliseconds(each) for each in (row.p50_seconds, row.p95_seconds))
        rejected, failed = (words.share(part, row.count) if part else "0" for part in (row.rejected, row.faults))
        drawn.add_row(
            f"{escape(short_name(row.name))} [dim]{escape(row.component)}[/]",
            f"{row.count:,}",
            f"{row.rate_per_second:.1f}",
            rejected,
            f"[red]{failed}[/]" if row.faults else failed,
            *quantiles,
        )
    return drawn


def _print_waterfall(console: Console, waterfall: Waterfall, colours: dict[str, str]) -> None:
    console.print(
        f"\n[bold]{escape(waterfall.title)}[/]: {duration(waterfall.latency_seconds)}, {waterfall.lines} lines,"
        f" trace {waterfall.trace_id}",
        highlight=False,
        soft_wrap=True,
    )
    columns = console.width - _NAME_COLUMNS - _FIGURES_COLUMNS
    columns = min(max(columns, _FEWEST_BAR_COLUMNS), _MOST_BAR_COLUMNS)
    table = Table("operation", "", "total ms", "self ms", box=None, pad_edge=False, header_style="dim")
    for column in table.columns[2:]:
        column.justify = "right"
    for column in table.columns:
        column.no_wrap = True
    for row in waterfall.rows:
        table.add_row(
            Text("  " * row.depth + short_name(row.name), style="red" if row.failed else ""),
            Text(bar_text(row.bar, row.own, columns), style=colours[row.component]),
            milliseconds(row.duration_seconds),
            milliseconds(row.self_seconds),
        )
    console.print(table)
    legend = Text("█ self time  ░ time of its calls  ", style="dim")
    for name, colour in colours.items():
        legend.append(f" {name}", style=colour)
    console.print(legend)


def _print_checks(console: Console, result: DemoResult) -> None:
    console.print()
    for check in result.integrity.checks:
        mark = "[green]ok[/]    " if check.passed else "[bold red]BROKEN[/]"
        console.print(f"{mark} {escape(check.sentence)}", highlight=False, soft_wrap=True)
    for gate in result.gates:
        if gate.status != "passed":
            console.print(
                f"[yellow]{gate.status}[/] {escape(gate.name)}: {escape(gate.sentence)}",
                highlight=False,
                soft_wrap=True,
            )
    if result.invalid_because:
        reasons = escape("; ".join(result.invalid_because))
        console.print(
            f"[bold red]INVALID[/], these latencies must not be used: {reasons}", highlight=False, soft_wrap=True
        )

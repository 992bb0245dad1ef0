"""`plumb bench-relay`: how fast does the relay publish, beside the INSERTs alone?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer
from asyncpg import PostgresError
from rich.console import Console
from rich.table import Table

from observability.bench.read_model import paired_ratio
from observability.bench.relay import RelayBench, RelayBenchOptions, measure
from observability.bench.telemetry_overhead import estimate
from observability.demo.folders import make_run_directory, remove_run_directory, write_whole
from observability.load.errors import LoadError, LoadUsageError
from observability.testbed.errors import TestbedError
from services.infra.messaging.relay import BATCH_SIZE
from services.kernel.errors import ServiceError
from services.local.processes.errors import LocalError
from services.local.processes.signals import Interrupted, run_interruptible

FORMAT = "plumbline-bench-relay/1"
_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_SIGNAL_BASE = 128
# What takes less of an event's time than this is shown with the rest.
_SHOWN_SHARE = 0.02


def bench_relay(
    *,
    pairs: Annotated[int, typer.Option(min=2, help="Pairs after the warm-up: the relay and pgbench, once each.")] = 12,
    batches: Annotated[int, typer.Option(min=1, help=f"Batches of {BATCH_SIZE} events a block.")] = 40,
    seed: Annotated[int, typer.Option(help="Fixes who of each pair comes first.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("out/bench-relay"),
) -> None:
    """Measure the events a second that the relay moves from an outbox to a log in another database, beside a floor.

    The floor is pgbench with the same INSERT into a table like the log's, as many rows of the same size a transaction;
    they stand on the server already. Both take turns on a PostgreSQL of their own. Takes about a minute; the ratio is
    taken pair by pair within this run, with a 95 % interval over its pairs.

    Exit codes: 0 measured, 1 it could not be carried out, 2 no pgbench or bad options, 130 interrupted.
    """
    console = Console(highlight=False)
    options = RelayBenchOptions(pairs, batches, seed, _directory(output))
    try:
        bench = run_interruptible(
            lambda: measure(options, say=console.print), again=lambda: console.print("already stopping")
        )
        result = options.directory / "result.json"
        write_whole(result, orjson.dumps(document(options, bench), option=orjson.OPT_INDENT_2))
    except (LocalError, LoadError, TestbedError, ServiceError, PostgresError) as error:
        typer.echo(f"plumb bench-relay: {error}", err=True)
        raise typer.Exit(_EXIT_USAGE if isinstance(error, LoadUsageError) else _EXIT_FAILED) from error
    except Interrupted as interruption:
        remove_run_directory(options.directory)
        typer.echo("plumb bench-relay: interrupted; everything is stopped", err=True)
        raise typer.Exit(_EXIT_SIGNAL_BASE + interruption.number) from interruption
    show(console, bench)
    console.print(f"written to {result}", markup=False, soft_wrap=True)


def document(options: RelayBenchOptions, bench: RelayBench) -> dict[str, object]:
    """Return what goes to the file: estimates with 95 % intervals, and the pairs that they come from."""
    return {
        "format": FORMAT,
        "options": {"pairs": options.pairs, "batches": options.batches, "seed": options.seed},
        "events_a_batch": BATCH_SIZE,
        "relay_events_per_second": asdict(estimate(bench.relay)),
        "pgbench_events_per_second": asdict(estimate(bench.pgbench)),
        "relay_over_pgbench": asdict(paired_ratio(bench.relay, bench.pgbench)),
        "pairs": [{"relay": relay, "pgbench": floor} for relay, floor in zip(bench.relay, bench.pgbench, strict=True)],
        "relay_seconds_an_event": dict(bench.statement_seconds),
    }


def show(console: Console, bench: RelayBench) -> None:
    """Print both rates, their ratio, and where the relay's time goes."""
    table = Table("who", "events/s", "95 % interval")
    for name, rates in (("relay", bench.relay), ("pgbench, the INSERTs alone", bench.pgbench)):
        rate = estimate(rates)
        table.add_row(name, f"{rate.mean:,.0f}", f"{rate.low:,.0f} to {rate.high:,.0f}")
    console.print(table)
    ratio = paired_ratio(bench.relay, bench.pgbench)
    console.print(f"relay / pgbench: {ratio.mean:.3f} (95 % interval {ratio.low:.3f} to {ratio.high:.3f})")
    show_parts(console, bench.relay, bench.statement_seconds)


def show_parts(console: Console, rates: Sequence[float], statement_seconds: Mapping[str, float]) -> None:
    """Print the microseconds an event by statement; what is none is the relay's own work, in Python."""
    whole = sum(1 / rate for rate in rates) / len(rates)
    parts = {name: seconds for name, seconds in statement_seconds.items() if seconds >= _SHOWN_SHARE * whole}
    small = sum(statement_seconds.values()) - sum(parts.values())
    own = whole - sum(statement_seconds.values())
    table = Table("where an event's time goes", "µs", "share")
    rows = [*sorted(parts.items(), key=lambda part: -part[1]), ("other statements", small), ("no statement", own)]
    for name, seconds in rows:
        table.add_row(name, f"{seconds * 1e6:.1f}", f"{seconds / whole:.0%}")
    console.print(table)


def _directory(output: Path) -> Path:
    try:
        return make_run_directory(output)
    except TestbedError as error:
        typer.echo(f"plumb bench-relay: {error}", err=True)
        raise typer.Exit(_EXIT_FAILED) from error

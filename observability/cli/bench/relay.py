"""`plumb bench relay`: the throughput of the relay, beside pgbench with the same INSERTs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.bench.paired import estimate, paired_ratio
from observability.bench.relay import RelayBench, RelayBenchOptions, measure
from observability.cli.bench.results import run_folder, run_measurement, write_result
from services.infra.messaging.relay import BATCH_SIZE

FORMAT = "plumbline-bench-relay/1"
# Statements that take a smaller share of an event's time are shown together.
_SHOWN_SHARE = 0.02


def bench_relay(
    *,
    pairs: Annotated[
        int, typer.Option(min=2, help="Pairs of blocks after the warm-up: one of the relay, one of pgbench.")
    ] = 12,
    batches: Annotated[int, typer.Option(min=1, help=f"Batches of {BATCH_SIZE} events per block.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the order within each pair.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("out/bench-relay"),
) -> None:
    """Measure the events per second that the relay moves from outbox to event log, beside pgbench.

    Outbox and event log are in two databases of a PostgreSQL server of its own. pgbench executes the same INSERT into a
    table like the event log's, with as many rows of the same size per transaction. Both run in turn. Takes about a
    minute. The ratio is taken pair by pair within this run, with a 95 % interval over its pairs.

    Exit codes: 0 measured, 1 the measurement failed, 2 no pgbench or bad options, 130 interrupted.
    """
    console = Console(highlight=False)
    with run_folder(output) as folder:
        options = RelayBenchOptions(pairs, batches, seed, folder)
        bench = run_measurement(lambda: measure(options, say=console.print), console)
        write_result(folder, document(options, bench), console)
    show(console, bench)


def document(options: RelayBenchOptions, bench: RelayBench) -> dict[str, object]:
    """Return the content of result.json: estimates with 95 % intervals, and the pairs they come from."""
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
    table = Table("program", "events/s", "95 % interval")
    for name, rates in (("relay", bench.relay), ("pgbench, the same INSERTs", bench.pgbench)):
        rate = estimate(rates)
        table.add_row(name, f"{rate.value:,.0f}", f"{rate.low:,.0f} to {rate.high:,.0f}")
    console.print(table)
    ratio = paired_ratio(bench.relay, bench.pgbench)
    console.print(f"relay / pgbench: {ratio.value:.3f} (95 % interval {ratio.low:.3f} to {ratio.high:.3f})")
    show_parts(console, bench.relay, bench.statement_seconds)


def show_parts(console: Console, rates: Sequence[float], statement_seconds: Mapping[str, float]) -> None:
    """Print the microseconds per event by statement; the rest is the relay's own work, in Python."""
    whole = sum(1 / rate for rate in rates) / len(rates)
    parts = {name: seconds for name, seconds in statement_seconds.items() if seconds >= _SHOWN_SHARE * whole}
    small = sum(statement_seconds.values()) - sum(parts.values())
    own = whole - sum(statement_seconds.values())
    table = Table("part of the time per event", "µs", "share")
    rows = [*sorted(parts.items(), key=lambda part: -part[1]), ("other statements", small), ("the relay itself", own)]
    for name, seconds in rows:
        table.add_row(name, f"{seconds * 1e6:.1f}", f"{seconds / whole:.0%}")
    console.print(table)

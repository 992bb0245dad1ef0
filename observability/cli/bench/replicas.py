"""`plumb bench replicas`: stale reads at each lag, the primary's CPU, the loss of a replica, and a promotion."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from observability.bench.paired import estimate
from observability.bench.replicas import ReplicaBench, ReplicaBenchOptions, measure
from observability.cli.bench.results import run_folder, run_measurement, write_result

FORMAT = "plumbline-bench-replicas/1"


def bench_replicas(
    *,
    reads: Annotated[int, typer.Option(min=100, help="Reads with a consistency token at each lag.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Seed of the orders that are read and written.")] = 1,
    output: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("out/bench-replicas"),
) -> None:
    """Measure reads from replicas at four lags, with one of them killed, and a promotion under load.

    Two replicas replay 0, 50, 500 and 5,000 ms late, while orders change. The primary's CPU is measured for reads from
    it and from replicas; the promotion is with a synchronous standby and without. Takes about two minutes; with 100,000
    reads half an hour.

    Exit codes: 0 measured, 1 the measurement failed or a read with a token was stale, 130 interrupted.
    """
    console = Console(highlight=False)
    with run_folder(output) as folder:
        options = ReplicaBenchOptions(reads, seed, folder)
        bench = run_measurement(lambda: measure(options, say=console.print), console)
        write_result(folder, document(options, bench), console)
    show(console, bench)
    if any(lag.stale for lag in bench.lags):
        raise typer.Exit(1)


def document(options: ReplicaBenchOptions, bench: ReplicaBench) -> dict[str, object]:
    """Return the content of result.json."""
    return {
        "format": FORMAT,
        "options": {"reads": options.reads, "seed": options.seed},
        "lags": [asdict(lag) for lag in bench.lags],
        "primary_cpu_seconds_a_read": {
            "from_primary": asdict(estimate(bench.primary_cpu)),
            "from_replicas": asdict(estimate(bench.replica_cpu)),
            "blocks": {"from_primary": bench.primary_cpu, "from_replicas": bench.replica_cpu},
        },
        "replica_killed": asdict(bench.loss),
        "promotions": [asdict(promotion) for promotion in bench.promotions],
    }


def show(console: Console, bench: ReplicaBench) -> None:
    """Print a table of the lags, and a line for each other part."""
    table = Table("lag", "reads", "stale", "without token", "replica", "primary", "rejected", "waits", "p50", "p99")
    for lag in bench.lags:
        table.add_row(
            f"{lag.lag_milliseconds} ms",
            f"{lag.reads:,}",
            str(lag.stale),
            f"{lag.untokened_stale / max(1, lag.untokened_reads):.2%} stale",
            *(f"{lag.by_target[target]:,}" for target in ("replica", "primary", "rejected")),
            f"{lag.waits:,}",
            f"{lag.seconds_p50 * 1e3:.1f} ms",
            f"{lag.seconds_p99 * 1e3:.1f} ms",
        )
    console.print(table)
    primary, replica = estimate(bench.primary_cpu), estimate(bench.replica_cpu)
    console.print(
        f"the primary's CPU a read: {primary.value * 1e6:.0f} µs ({primary.low * 1e6:.0f} to {primary.high * 1e6:.0f})"
        f" read from it, {replica.value * 1e6:.0f} µs ({replica.low * 1e6:.0f} to {replica.high * 1e6:.0f}) read from"
        " replicas (95 % intervals)"
    )
    loss = bench.loss
    console.print(
        f"one of two replicas killed: the primary's CPU {loss.cpu_before:.3f} -> {loss.cpu_after:.3f} cores; reads"
        f" {dict(loss.by_target_before)} -> {dict(loss.by_target_after)}; {loss.failed} rejected"
    )
    for promotion in bench.promotions:
        kind = "a synchronous standby" if promotion.synchronous else "asynchronous replication"
        console.print(
            f"promotion with {kind}: {promotion.lost} of {promotion.acknowledged:,} acknowledged writes lost,"
            f" {promotion.unavailable_seconds:.1f} s without writes"
        )

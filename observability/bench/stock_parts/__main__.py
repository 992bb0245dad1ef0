"""`python -m observability.bench.stock_parts`: run PlaceOrder made of stock libraries under load; record traces."""

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from observability.bench.stock_parts.running import load, recording_processes, serving
from observability.bench.stock_parts.settings import StockFault


def main(
    *,
    output: Annotated[Path, typer.Option(help="Folder of the run; its traces are in OUTPUT/traces.")],
    fault: Annotated[StockFault, typer.Option(help="The bottleneck to build in.")] = StockFault.NONE,
    rate: Annotated[float, typer.Option(help="StockOrders a second.")] = 5.0,
    seconds: Annotated[float, typer.Option(help="Duration of the load.")] = 20.0,
    most_lines: Annotated[int, typer.Option(min=1, help="Most lines of an order.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of arrivals and baskets.")] = 1,
) -> None:
    """Run once; `plumb diagnose OUTPUT/traces` then names the bottleneck."""

    async def run() -> None:
        # Traces alone do not tell whether code computes or waits; processor metrics do.
        with_processes = fault is StockFault.CPU_BOUND
        async with serving(output, fault) as served:
            with recording_processes(served, output / "traces") if with_processes else nullcontext():
                result = await load(
                    served,
                    folder=output,
                    seed=seed,
                    rate_per_second=rate,
                    duration_seconds=seconds,
                    lines=(1, most_lines),
                )
        typer.echo(f"{len(result.requests)} orders sent; traces in {output / 'traces'}")

    asyncio.run(run())


if __name__ == "__main__":
    typer.run(main)

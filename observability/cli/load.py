"""`plumb load`: place orders at a steady rate, and measure their latency."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from observability.cli.exit_codes import SIGNAL_BASE
from observability.load.command import LoadCommand, run_load
from observability.load.result import LoadResult

_EXIT_INVALID = 3
_EXIT_ORDERS_FAILED = 4

_ADDRESS = "HOST:PORT"


def load(  # noqa: PLR0913 - an option of the command is an argument here; they go on as one value
    *,
    rate: Annotated[float | None, typer.Option(help="Orders per second, on average.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds during which orders are placed.")] = None,
    baskets: Annotated[Path | None, typer.Option(help="File of baskets to order. Default: a fitted model.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of arrivals, baskets, quantities and customers.")] = 1,
    target: Annotated[
        str | None, typer.Option(metavar=_ADDRESS, help="Address of the edge. Default: that of plumb up.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File for the whole result, with every request.")] = None,
    endpoints: Annotated[
        Path | None, typer.Option(help="Endpoints file. Default: that of the platform started last.")
    ] = None,
    stock: Annotated[bool, typer.Option("--stock/--no-stock", help="Stock all SKUs of the orders first.")] = True,
    inventory: Annotated[
        str | None, typer.Option(metavar=_ADDRESS, help="gRPC address of inventory, to stock it.")
    ] = None,
    cpu: Annotated[int | None, typer.Option(help="Core to run on. Default: the last of two or more.")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Run a closed loop over the baskets in order.")] = False,
    concurrency: Annotated[
        int | None, typer.Option(help="Customers of a closed loop, one order each at a time.")
    ] = None,
    requests: Annotated[int | None, typer.Option(help="Orders of a closed loop, in all.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer; nothing is retried.")] = 10.0,
) -> None:
    """Place orders at a steady rate and measure the latency of each, counted from when it was due.

    Quantiles are of the orders that were sold; failed orders have their own. If some failed, the command prints why,
    and a rate at which none would. An order for more than is in stock gets a correct answer, and does not count as
    failed.

    Arrivals are a seeded Poisson process, computed beforehand and kept even if answers are slow (an open loop).
    Validity checks make sure that the generator was not the limit, and that the platform kept up; a run that fails one
    is INVALID, and its latencies must not be used. A file of baskets has one basket per line, SKUs separated by commas,
    or is the Online Retail CSV; plain or .xz.

    Examples: plumb load --rate 40 --duration 60, or
    plumb load --closed --concurrency 16 --requests 5000 --baskets baskets.csv.xz

    Exit codes: 0 valid, and no order failed; 1 the platform could not be used; 2 bad options; 3 INVALID; 4 orders
    failed, and the generator was not the limit; 130 interrupted, 143 terminated.
    """
    command = LoadCommand(
        rate_per_second=rate,
        duration_seconds=duration,
        baskets_path=baskets,
        seed=seed,
        target=target,
        json_path=json,
        endpoints_path=endpoints,
        stock=stock,
        inventory=inventory,
        cpu=cpu,
        closed=closed,
        concurrency=concurrency,
        requests=requests,
        timeout_seconds=timeout,
    )
    raise typer.Exit(_status(run_load(command, Console())))


def _status(result: LoadResult) -> int:
    if result.stop_signal is not None:
        return SIGNAL_BASE + result.stop_signal
    if result.failed and result.generator_valid:
        return _EXIT_ORDERS_FAILED
    return 0 if result.valid else _EXIT_INVALID

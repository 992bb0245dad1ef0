"""`plumb load`: place orders at a rate, and say how long customers wait."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from observability.load.command import LoadCommand, run_load
from observability.load.errors import LoadError, LoadUsageError

_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_INVALID = 3
_EXIT_ORDERS_FAILED = 4
_EXIT_INTERRUPTED = 130
_EXIT_SIGNAL_BASE = 128

_ADDRESS = "HOST:PORT"


def load(  # noqa: PLR0913 - an option of the command is an argument here; they go on as one value
    *,
    rate: Annotated[float | None, typer.Option(help="Orders a second, on average.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds during which orders become due.")] = None,
    baskets: Annotated[Path | None, typer.Option(help="Baskets to order; without it, a fitted model.")] = None,
    seed: Annotated[int, typer.Option(help="Fixes arrivals, baskets, quantities and customers.")] = 1,
    target: Annotated[str | None, typer.Option(metavar=_ADDRESS, help="The edge; by default that of plumb up.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the whole result here, every request included.")] = None,
    endpoints: Annotated[Path | None, typer.Option(help="Endpoints file; by default the newest running one.")] = None,
    stock: Annotated[bool, typer.Option("--stock/--no-stock", help="Stock what will be ordered amply first.")] = True,
    inventory: Annotated[str | None, typer.Option(metavar=_ADDRESS, help="The inventory gRPC to stock.")] = None,
    cpu: Annotated[int | None, typer.Option(help="Core to run on; by default the last of two or more.")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Closed loop over the baskets in order.")] = False,
    concurrency: Annotated[int | None, typer.Option(help="Customers of a closed loop, each waiting its turn.")] = None,
    requests: Annotated[int | None, typer.Option(help="Orders of a closed loop.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for one answer; nothing is retried.")] = 10.0,
) -> None:
    """Place orders at a steady rate and say how long customers wait, counted from when each order was due.

    Quantiles are of the orders that were sold, those that failed apart. Where some failed it says why, and at which
    rate none would. An order for more than there is in stock got a correct answer, and did not fail.

    Arrivals are a seeded Poisson schedule, computed beforehand and kept however slow the answers are (an open loop).
    Gates check that the generator was nowhere the limit, and that the platform kept up; a run that fails one is
    INVALID, and its latencies are worth nothing. A file of baskets has one basket a line, codes by commas, or is the
    Online Retail CSV; plain or .xz.

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
    raise typer.Exit(_exit_code(command))


def _exit_code(command: LoadCommand) -> int:
    try:
        result = run_load(command, Console())
    except LoadUsageError as error:
        return _fail(str(error), _EXIT_USAGE)
    except LoadError as error:
        return _fail(str(error), _EXIT_FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted before the first order", _EXIT_INTERRUPTED)
    if result.stop_signal is not None:
        return _EXIT_SIGNAL_BASE + result.stop_signal
    if result.failed and result.generator_valid:
        return _EXIT_ORDERS_FAILED
    return 0 if result.valid else _EXIT_INVALID


def _fail(message: str, code: int) -> int:
    typer.echo(f"plumb load: {message}", err=True)
    return code

"""`plumb projection`: builds the list of orders anew from the events, beside the one that is read."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from observability.cli.group import new_app
from observability.load.errors import LoadError, LoadUsageError
from observability.load.target import find_endpoints
from observability.telemetry.telemetry import unobserved
from services.infra.messaging.open_log import open_log
from services.infra.postgres import Database
from services.kernel.errors import ServiceError
from services.local.platform.endpoints import Endpoints
from services.local.processes.signals import Interrupted, run_interruptible
from services.order.adapters.summaries_rebuild import RebuildRunning, alone
from services.order.workers.rebuild import LogIncomplete, Rebuild, Rebuilt

DATABASE = "order_read"
POOL_SIZE = 2
CLOSE_SECONDS = 5.0
_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_SIGNAL_BASE = 128

commands = new_app(help_text="The list of orders that customers read.")


@commands.callback()
def projection() -> None:
    """The list of orders that customers read."""


@commands.command("rebuild")
def rebuild(
    *,
    endpoints: Annotated[Path | None, typer.Option(help="Endpoints file; by default the newest running one.")] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Forget an interrupted rebuild instead of going on.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Swap even if the log does not hold all that the present list says.")
    ] = False,
) -> None:
    """Read the event log from its beginning into a new list of orders, then let it take the old one's place.

    Customers read the old list until then, and the platform goes on. A rebuild that was cut off, even by a kill, goes
    on where it was when the command is given again.

    Exit codes: 0 swapped, 1 not swapped, 2 bad options, 130 interrupted.
    """
    raise typer.Exit(_rebuild(endpoints, anew=anew, force=force))


def _rebuild(path: Path | None, *, anew: bool, force: bool) -> int:  # noqa: PLR0911  # an exit code for each end
    bar = Progress(
        TextColumn("events read"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    try:
        endpoints = find_endpoints(path)
        with bar:
            rebuilt = run_interruptible(lambda: _run(endpoints, bar, anew=anew, force=force))
    except LoadUsageError as error:
        return _fail(str(error), _EXIT_USAGE)
    except LoadError as error:
        return _fail(str(error), _EXIT_FAILED)
    except Interrupted as interruption:
        return _fail("interrupted; give the command again to go on", _EXIT_SIGNAL_BASE + interruption.number)
    except RebuildRunning:
        return _fail("another rebuild is running: wait for its end", _EXIT_FAILED)
    except LogIncomplete as error:
        return _fail(
            f"not swapped: {error.orders_behind} orders of the list are missing in the log or older there. A log that "
            "was lost is filled again by the relay: try again later. --anew begins from the beginning, --force swaps "
            "all the same",
            _EXIT_FAILED,
        )
    except (ServiceError, OSError, asyncpg.PostgresError) as error:
        return _fail(
            f"not swapped: {(str(error) or type(error).__name__).rstrip('.')}. Give the command again to go on",
            _EXIT_FAILED,
        )
    _show(rebuilt, Console(highlight=False))
    return 0


async def _run(endpoints: Endpoints, bar: Progress, *, anew: bool, force: bool) -> Rebuilt:
    dsn, telemetry = endpoints.databases[DATABASE], unobserved("order")
    task = bar.add_task("", total=None)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(alone(dsn))
        database = await Database.open(dsn, pool_size=POOL_SIZE, telemetry=telemetry, name=DATABASE)
        stack.push_async_callback(database.close, timeout_seconds=CLOSE_SECONDS)
        log = await open_log(
            endpoints.event_log_url,
            telemetry=telemetry,
            pool_size=POOL_SIZE,
            allow_unsafe_sync=endpoints.event_log_allow_unsafe_sync,
        )
        stack.push_async_callback(log.close)

        def show(position: int, head: int) -> None:
            bar.update(task, completed=position, total=head)

        return await Rebuild(database=database, log=log, progress=show).run(anew=anew, force=force)


def _show(rebuilt: Rebuilt, console: Console) -> None:
    swap = rebuilt.swap
    resumed = f", after {rebuilt.resumed_after} of a rebuild that was interrupted" if rebuilt.resumed_after else ""
    console.print(f"{rebuilt.events_read} events read{resumed}")
    console.print(f"{swap.rows_before} orders in the list before, {swap.rows_after} now")
    if swap.parked:
        console.print(f"{swap.parked} events could not be consumed: see plumb deadletters list")


def _fail(message: str, code: int) -> int:
    typer.echo(f"plumb projection rebuild: {message}", err=True)
    return code

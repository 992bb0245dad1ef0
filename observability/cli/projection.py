"""`plumb projection`: rebuild the list of orders from the event log, while customers read the old one."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer
from asyncpg import PostgresError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from observability.cli.exit_codes import SIGNAL_BASE, CommandFailed
from observability.cli.group import new_app
from observability.load.target import find_endpoints
from observability.telemetry.telemetry import unobserved
from services.infra.messaging.open_log import open_logs
from services.infra.postgres import Database
from services.kernel.errors import ServiceError
from services.local.platform.endpoints import Endpoints
from services.local.processes.signals import Interrupted, run_interruptible
from services.order.adapters.summaries_rebuild import RebuildRunning, alone
from services.order.workers.rebuild import LogIncomplete, Rebuild, Rebuilt

DATABASE = "order_read"
POOL_SIZE = 2
CLOSE_SECONDS = 5.0

commands = new_app(help_text="Rebuild the list of orders that customers read.")


@commands.callback()
def projection() -> None:
    """Rebuild the list of orders that customers read."""


@commands.command("rebuild")
def rebuild(
    *,
    endpoints: Annotated[
        Path | None, typer.Option(help="Endpoints file. Default: that of the platform started last.")
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Start over instead of continuing an interrupted rebuild.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Swap even if the event log lacks orders of the present list.")
    ] = False,
) -> None:
    """Read the event log from its beginning into a new list of orders, then swap it with the old one.

    Customers read the old list until then, and the platform keeps running. After an interruption, even by a kill, the
    same command continues where it stopped.

    Exit codes: 0 swapped, 1 not swapped, 2 bad options, 130 interrupted.
    """
    bar = Progress(
        TextColumn("events read"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    platform = find_endpoints(endpoints)
    try:
        with bar:
            rebuilt = run_interruptible(lambda: _run(platform, bar, anew=anew, force=force))
    except Interrupted as interruption:
        status = SIGNAL_BASE + interruption.number
        raise CommandFailed("interrupted; run the same command to continue", status=status) from interruption
    except RebuildRunning as error:
        raise CommandFailed("another rebuild is running: wait until it ends") from error
    except LogIncomplete as error:
        raise CommandFailed(
            f"not swapped: {error.orders_behind} orders of the list are missing in the log or older there. The relay "
            "fills a lost log again: try again later. --anew starts over, --force swaps nevertheless"
        ) from error
    except (ServiceError, OSError, PostgresError) as error:
        reason = (str(error) or type(error).__name__).rstrip(".")
        raise CommandFailed(f"not swapped: {reason}. Run the same command to continue") from error
    _show(rebuilt, Console(highlight=False))


async def _run(endpoints: Endpoints, bar: Progress, *, anew: bool, force: bool) -> Rebuilt:
    dsn, telemetry = endpoints.databases[DATABASE], unobserved("order")
    task = bar.add_task("", total=None)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(alone(dsn))
        database = await Database.open(dsn, pool_size=POOL_SIZE, telemetry=telemetry, name=DATABASE)
        stack.push_async_callback(database.close, timeout_seconds=CLOSE_SECONDS)
        logs = await open_logs(
            [endpoints.event_log_url, *endpoints.shard_event_log_urls],
            telemetry=telemetry,
            stack=stack,
            pool_size=POOL_SIZE,
            allow_unsafe_sync=endpoints.event_log_allow_unsafe_sync,
        )

        def show(position: int, head: int) -> None:
            bar.update(task, completed=position, total=head)

        return await Rebuild(database=database, logs=logs, progress=show).run(anew=anew, force=force)


def _show(rebuilt: Rebuilt, console: Console) -> None:
    swap = rebuilt.swap
    resumed = f", after {rebuilt.resumed_after} of an interrupted rebuild" if rebuilt.resumed_after else ""
    console.print(f"{rebuilt.events_read} events read{resumed}")
    console.print(f"{swap.rows_before} orders in the list before, {swap.rows_after} now")
    if swap.parked:
        console.print(f"{swap.parked} events could not be consumed: see `plumb deadletters list`")

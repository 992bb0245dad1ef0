"""`plumb deadletters`: which events could no consumer take, and what becomes of them?"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from observability.cli.group import new_app
from observability.lab.errors import LoadError, LoadUsageError
from observability.lab.target import find_endpoints
from observability.telemetry.telemetry import unobserved
from services.infra.messaging.consumer import Handle
from services.infra.messaging.dead_letters import DeadLetter, DeadLetters
from services.infra.postgres import Database
from services.kernel.errors import ServiceError
from services.local.endpoints import Endpoints
from services.local.signals import Interrupted, run_interruptible
from services.notification.adapters.postgres import record
from services.notification.consumers.order_events import OrderEvents as NotificationEvents
from services.order.adapters.summaries import project
from services.order.consumers.order_summaries import OrderEvents as SummaryEvents

Consumer = Literal["order_summaries", "notification"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a consumer keeps its dead letters, and how it takes an event."""

    database: str
    handle: Handle


PLACES: Mapping[Consumer, Place] = {
    "order_summaries": Place("order_read", SummaryEvents(project=project)),
    "notification": Place("notification", NotificationEvents(record=record)),
}
LIST_LIMIT = 1_000
POOL_SIZE = 1
CLOSE_SECONDS = 5.0
_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_SIGNAL_BASE = 128

ConsumerOption = Annotated[Consumer | None, typer.Option("--consumer", help="Of this consumer alone.")]
EndpointsOption = Annotated[
    Path | None, typer.Option("--endpoints", help="Endpoints file; by default the newest running one.")
]

commands = new_app(help_text="Events that could not be consumed.")


@commands.command("list")
def list_letters(
    *,
    consumer: ConsumerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON instead of a table.")] = False,
    endpoints: EndpointsOption = None,
) -> None:
    """Show the events that are set aside, the oldest first, with the reason; at most 1,000 of each consumer.

    BEHIND_ANOTHER waits for an earlier event of the same order. Exit codes: 0 shown, 1 failed, 2 bad options.
    """
    command = ListCommand(_chosen(consumer), as_json=as_json)
    raise typer.Exit(_exit_code("list", endpoints, command))


@commands.command("replay")
def replay(*, consumer: ConsumerOption = None, endpoints: EndpointsOption = None) -> None:
    """Let the consumers take their dead letters again, each order's in their order, as after a release that mends one.

    What still cannot be consumed stays. Exit codes: 0 none is left, 1 some are or it failed, 2 bad options.
    """
    raise typer.Exit(_exit_code("replay", endpoints, ReplayCommand(_chosen(consumer))))


class ListCommand:
    """Prints dead letters; nothing of a payload, which holds customers' data."""

    def __init__(self, consumers: Sequence[Consumer], *, as_json: bool) -> None:
        self._consumers = consumers
        self._as_json = as_json

    async def run(self, endpoints: Endpoints) -> int:
        """Return the exit code."""
        found: list[tuple[Consumer, DeadLetter]] = []
        count = 0
        for consumer in self._consumers:
            async with open_letters(endpoints, consumer) as letters:
                found += [(consumer, letter) for letter in await letters.list(LIST_LIMIT)]
                count += await letters.count()
        if self._as_json:
            typer.echo(json.dumps([as_plain(consumer, letter) for consumer, letter in found], indent=2))
        else:
            show(found, count, Console(highlight=False))
        return 0


class ReplayCommand:
    """Replays dead letters, one consumer after the other."""

    def __init__(self, consumers: Sequence[Consumer]) -> None:
        self._consumers = consumers

    async def run(self, endpoints: Endpoints) -> int:
        """Return the exit code."""
        left = [await self._replay(endpoints, consumer) for consumer in self._consumers]
        return _EXIT_FAILED if any(left) else 0

    async def _replay(self, endpoints: Endpoints, consumer: Consumer) -> int:
        """Replay until none is left or one fails; return how many are left."""
        obstacle = ""
        async with open_letters(endpoints, consumer) as letters:
            before = await letters.count()
            # Again, for what was parked behind the others meanwhile.
            while (replay := await letters.replay(PLACES[consumer].handle)).replayed:
                pass
            for message, error in replay.failures:
                obstacle += f"; event {message.event_id}: {getattr(error, 'reason', type(error).__name__)}"
            left = await letters.count()
        typer.echo(f"{consumer}: {max(0, before - left)} replayed, {left} left{obstacle}")
        return left


@asynccontextmanager
async def open_letters(endpoints: Endpoints, consumer: Consumer) -> AsyncIterator[DeadLetters]:
    """Open a consumer's dead letters for the time of a block."""
    name = PLACES[consumer].database
    telemetry = unobserved(name)
    database = await Database.open(endpoints.databases[name], pool_size=POOL_SIZE, telemetry=telemetry, name=name)
    try:
        yield DeadLetters(consumer, database=database)
    finally:
        await database.close(timeout_seconds=CLOSE_SECONDS)


def as_plain(consumer: str, letter: DeadLetter) -> dict[str, str | int]:
    """Return what is shown of a dead letter."""
    message = letter.message
    return {
        "consumer": consumer,
        "event_id": str(message.event_id),
        "type": message.type,
        "aggregate_id": str(message.aggregate_id),
        "aggregate_version": message.aggregate_version,
        "reason": letter.reason,
        "occur_time": message.occur_time.isoformat(),
        "park_time": letter.create_time.isoformat(),
    }


def show(found: Sequence[tuple[str, DeadLetter]], count: int, console: Console) -> None:
    """Print a table, and how many more there are."""
    if not found:
        console.print("no dead letters")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("consumer", "event", "type", "order", "version", "reason", "parked"):
        table.add_column(heading, no_wrap=True)
    now = datetime.now(UTC)
    for consumer, letter in found:
        message = letter.message
        values = (consumer, message.event_id, message.type, message.aggregate_id, message.aggregate_version)
        table.add_row(*map(str, values), letter.reason, f"{age(now - letter.create_time)} ago")
    console.print(table, soft_wrap=True)
    if count > len(found):
        console.print(f"and {count - len(found)} more")


def age(since: timedelta) -> str:
    """Return a duration in its largest whole unit."""
    seconds = max(0, round(since.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _chosen(consumer: Consumer | None) -> Sequence[Consumer]:
    return [consumer] if consumer else list(PLACES)


def _exit_code(name: str, path: Path | None, command: ListCommand | ReplayCommand) -> int:
    try:
        endpoints = find_endpoints(path)
        return run_interruptible(lambda: command.run(endpoints))
    except LoadUsageError as error:
        return _fail(name, str(error), _EXIT_USAGE)
    except Interrupted as interruption:
        return _fail(name, "interrupted", _EXIT_SIGNAL_BASE + interruption.number)
    except (LoadError, ServiceError, OSError, asyncpg.PostgresError) as error:
        return _fail(name, str(error) or type(error).__name__, _EXIT_FAILED)


def _fail(name: str, message: str, code: int) -> int:
    typer.echo(f"plumb deadletters {name}: {message}", err=True)
    return code

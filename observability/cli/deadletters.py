"""`plumb deadletters`: list and replay events that could not be consumed, and sagas that could not complete."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from observability.cli.exit_codes import FAILED
from observability.cli.group import new_app
from observability.load.target import find_endpoints
from observability.telemetry.telemetry import unobserved
from services.infra.messaging.consumer import Handle
from services.infra.messaging.dead_letters import DeadLetter, DeadLetters
from services.infra.postgres import Database
from services.local.platform.endpoints import Endpoints
from services.local.platform.plan import order_databases
from services.local.processes.signals import run_interruptible
from services.notification.adapters.postgres import record, send_again
from services.notification.consumers.order_events import OrderEvents as NotificationEvents
from services.order.adapters.sagas import ParkedSaga, PostgresSagas
from services.order.adapters.summaries import project
from services.order.consumers.order_summaries import OrderEvents as SummaryEvents
from services.order.workers.saga_worker import SAGA_WORKER

Consumer = Literal["order_summaries", "notification", "send_confirmations", "saga_worker"]


@dataclass(frozen=True, slots=True)
class DeadLetterStore:
    """The database of a consumer's dead letters, and the function that consumes an event."""

    database: str
    handle: Handle


STORES: Mapping[Consumer, DeadLetterStore] = {
    "order_summaries": DeadLetterStore("order_read", SummaryEvents(project=project)),
    "notification": DeadLetterStore("notification", NotificationEvents(record=record)),
    "send_confirmations": DeadLetterStore("notification", send_again),
}
Row = dict[str, str | int]
SHOWN = ("consumer", "event_id", "type", "aggregate_id", "aggregate_version", "reason")
LIST_LIMIT = 1_000
POOL_SIZE = 1
CLOSE_SECONDS = 5.0

ConsumerOption = Annotated[Consumer | None, typer.Option("--consumer", help="Only those of this consumer.")]
EndpointsOption = Annotated[
    Path | None, typer.Option("--endpoints", help="Endpoints file. Default: that of the platform started last.")
]

commands = new_app(help_text="List and replay events that could not be consumed, and sagas that could not complete.")


@commands.command("list")
def list_letters(
    *,
    consumer: ConsumerOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    endpoints: EndpointsOption = None,
) -> None:
    """List parked events and sagas with the reason, the oldest first; at most 1,000 of each consumer.

    BEHIND_ANOTHER waits for an earlier event of the same order.

    Exit codes: 0 listed, 1 failed, 2 bad options.
    """
    _run(endpoints, ListCommand(_chosen(consumer), as_json=as_json))


@commands.command("replay")
def replay(*, consumer: ConsumerOption = None, endpoints: EndpointsOption = None) -> None:
    """Consume parked events again, those of one order in sequence, for example after a release that fixes a consumer.

    Events that still cannot be consumed stay parked.

    Exit codes: 0 none is left, 1 some are left or it failed, 2 bad options.
    """
    _run(endpoints, ReplayCommand(_chosen(consumer)))


class ListCommand:
    """Print dead letters, without their payload, which holds customers' data."""

    def __init__(self, consumers: Sequence[Consumer], *, as_json: bool) -> None:
        self._consumers = consumers
        self._as_json = as_json

    async def run(self, endpoints: Endpoints) -> int:
        """Return the exit code."""
        found: list[Row] = []
        count = 0
        for consumer in self._consumers:
            if consumer == SAGA_WORKER:
                for name in order_databases(endpoints.databases):
                    async with open_database(endpoints, name) as database:
                        sagas = PostgresSagas(database=database, lease_seconds=0)
                        found += [saga_as_plain(saga) for saga in await sagas.parked(LIST_LIMIT)]
                        count += await sagas.count_parked()
                continue
            async with open_letters(endpoints, consumer) as letters:
                found += [as_plain(consumer, letter) for letter in await letters.list(LIST_LIMIT)]
                count += await letters.count()
        if self._as_json:
            typer.echo(json.dumps(found, indent=2))
        else:
            show(found, count, Console(highlight=False))
        return 0


class ReplayCommand:
    """Replay dead letters, one consumer after the other."""

    def __init__(self, consumers: Sequence[Consumer]) -> None:
        self._consumers = consumers

    async def run(self, endpoints: Endpoints) -> int:
        """Return the exit code."""
        left = [await self._replay(endpoints, consumer) for consumer in self._consumers]
        return FAILED if any(left) else 0

    async def _replay(self, endpoints: Endpoints, consumer: Consumer) -> int:
        """Replay until none is left or one fails; return how many are left. Sagas only become due again."""
        if consumer == SAGA_WORKER:
            due = 0
            for name in order_databases(endpoints.databases):
                async with open_database(endpoints, name) as database:
                    due += await PostgresSagas(database=database, lease_seconds=0).replay()
            typer.echo(f"{consumer}: {due} due again, 0 left")
            return 0
        failures = ""
        async with open_letters(endpoints, consumer) as letters:
            before = await letters.count()
            # Repeat: events can be parked behind the others meanwhile.
            while (replay := await letters.replay(STORES[consumer].handle)).replayed:
                pass
            for message, error in replay.failures:
                failures += f"; event {message.event_id}: {getattr(error, 'reason', type(error).__name__)}"
            left = await letters.count()
        typer.echo(f"{consumer}: {max(0, before - left)} replayed, {left} left{failures}")
        return left


@asynccontextmanager
async def open_letters(endpoints: Endpoints, consumer: Consumer) -> AsyncIterator[DeadLetters]:
    """Open a consumer's dead letters, and close them after the with block."""
    async with open_database(endpoints, STORES[consumer].database) as database:
        yield DeadLetters(consumer, database=database)


@asynccontextmanager
async def open_database(endpoints: Endpoints, name: str) -> AsyncIterator[Database]:
    """Open a database, and close it after the with block."""
    telemetry = unobserved(name)
    database = await Database.open(endpoints.databases[name], pool_size=POOL_SIZE, telemetry=telemetry, name=name)
    try:
        yield database
    finally:
        await database.close(timeout_seconds=CLOSE_SECONDS)


def as_plain(consumer: str, letter: DeadLetter) -> Row:
    """Return the fields of a dead letter that are shown."""
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


def saga_as_plain(saga: ParkedSaga) -> Row:
    """Return the fields of a saga that are shown; it has no event."""
    return {
        "consumer": SAGA_WORKER,
        "event_id": "-",
        "type": "saga",
        "aggregate_id": str(saga.order_id),
        "aggregate_version": saga.version,
        "reason": saga.parked_reason,
        "occur_time": saga.create_time.isoformat(),
        "park_time": saga.park_time.isoformat(),
    }


def show(found: Sequence[Row], count: int, console: Console) -> None:
    """Print a table, and how many more there are."""
    if not found:
        console.print("no dead letters")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("consumer", "event", "type", "order", "version", "reason", "parked"):
        table.add_column(heading, no_wrap=True)
    now = datetime.now(UTC)
    for row in found:
        values = [str(row[name]) for name in SHOWN]
        table.add_row(*values, f"{age(now - datetime.fromisoformat(str(row['park_time'])))} ago")
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
    return [consumer] if consumer else [*STORES, "saga_worker"]


def _run(path: Path | None, command: ListCommand | ReplayCommand) -> None:
    endpoints = find_endpoints(path)
    raise typer.Exit(run_interruptible(lambda: command.run(endpoints)))

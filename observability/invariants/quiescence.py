"""Quiescence: waits until no order, event or confirmation is in flight."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from time import monotonic

import asyncpg

from observability.invariants.snapshot_reader import Reader, reader
from observability.invariants.target import CONSUMERS, VerifyTarget
from observability.load.errors import LoadError
from observability.telemetry.telemetry import unobserved
from services.infra.backoff import LONGEST_SECONDS
from services.infra.messaging.consumer import cursor_name
from services.infra.messaging.message import LogState
from services.infra.messaging.open_log import open_logs
from services.kernel.errors import ServiceError

POLL_SECONDS = 0.2
# An order that failed often waits this long for its next attempt. A wait that is no longer calls it stuck.
QUIET_SECONDS = 2 * LONGEST_SECONDS
DEAD_LETTERS = "dead letters"
# In the direction of the flow, so that work that moves on between two queries is counted at its next stage.
BEFORE_THE_LOG = (
    ("orders on their way", "order", "SELECT count(*) FROM sagas WHERE parked_reason IS NULL"),
    ("reservations that hold stock", "inventory", "SELECT count(*) FROM reservations WHERE state = 'PENDING'"),
    ("events to publish", "order", "SELECT count(*) FROM outbox"),
    ("moves of logical shards", "order", "SELECT count(*) FROM shard_moves"),
    ("logs to fill again", "order", "SELECT count(*) FROM relay WHERE republish_to IS NOT NULL"),
)
CURSOR = "SELECT position FROM consumer_cursors WHERE consumer = $1 AND incarnation = $2"
UNSENT = "SELECT count(*) FROM notifications WHERE state = 'PENDING'"
PARKED_SAGAS = "SELECT count(*) FROM sagas WHERE parked_reason IS NOT NULL"
PARKED = "SELECT count(*) FROM dead_letters WHERE consumer = $1"
# Errors of a database that may be starting.
UNREACHABLE = (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InterfaceError)


class NotQuiet(LoadError):
    """Something is still in flight; `left` has the counts by kind."""

    def __init__(self, left: Mapping[str, int], *, waited_seconds: float) -> None:
        self.left = left
        found = ", ".join(f"{count:,} {what}" for what, count in left.items())
        super().__init__(f"not quiet after {waited_seconds:.0f} s: {found}")


async def wait_for_quiet(target: VerifyTarget, *, timeout_seconds: float) -> float:
    """Wait until nothing is in flight, and return the seconds it took.

    The load must have stopped. Raises NotQuiet after the timeout, and at once if only dead letters are left, since they
    do not go away by themselves.
    """
    began = monotonic()
    while left := await in_flight(target):
        waited_seconds = monotonic() - began
        if waited_seconds >= timeout_seconds or left.keys() == {DEAD_LETTERS}:
            raise NotQuiet(left, waited_seconds=waited_seconds)
        await asyncio.sleep(POLL_SECONDS)
    return monotonic() - began


async def in_flight(target: VerifyTarget) -> dict[str, int]:
    """Return the counts of work in flight by kind, or the part of the shop that does not answer."""
    try:
        async with AsyncExitStack() as stack:
            names = ("inventory", *CONSUMERS)
            databases = {name: await stack.enter_async_context(reader(target.databases[name])) for name in names}
            databases["order"] = await stack.enter_async_context(reader(*target.order_dsns))
            logs = await open_logs(
                target.event_log_urls,
                telemetry=unobserved("verify"),
                stack=stack,
                pool_size=1,
                allow_unsafe_sync=target.event_log_allow_unsafe_sync,
            )
            left = {what: await databases[name].count(select) for what, name, select in BEFORE_THE_LOG}
            left |= await behind(databases, [await log.state() for log in logs])
    except UNREACHABLE as error:
        return {f"databases that cannot be asked ({type(error).__name__})": 1}
    except ServiceError as error:
        return {f"event logs that cannot be asked ({error.reason})": 1}
    return {what: count for what, count in left.items() if count}


async def behind(databases: Mapping[str, Reader], logs: Sequence[LogState]) -> dict[str, int]:
    """Return the counts of events and confirmations that are not processed yet, and of dead letters."""
    left = {}
    for name, consumer in CONSUMERS.items():
        events = 0
        for number, log in enumerate(logs):
            rows = await databases[name].rows(CURSOR, cursor_name(consumer, number), log.incarnation)
            events += abs(log.head - (rows[0]["position"] if rows else 0))
        left[f"events to consume by {consumer}"] = events
    left["confirmations to send"] = await databases["notification"].count(UNSENT)
    left[DEAD_LETTERS] = sum([await databases[name].count(PARKED, consumer) for name, consumer in CONSUMERS.items()])
    left[DEAD_LETTERS] += await databases["order"].count(PARKED_SAGAS)
    return left

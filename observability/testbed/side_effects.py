"""Side effects of the orders: waits until events, read model and notifications have caught up.

The databases say what must happen; the spans say what did, and when.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from observability.testbed.errors import TestbedError

SETTLE_SECONDS = 30.0
_POLL_SECONDS = 0.1
_TIMEOUT_SECONDS = 10.0
_DATABASES = ("order", "order_read", "notification")

Connections = Mapping[str, asyncpg.Connection]


@dataclass(frozen=True, slots=True)
class ObservedEvent:
    """One row of the orders' events: its type, and the span that stored it (W3C traceparent without its flags)."""

    type: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class EffectProgress:
    """Counts of rows in the databases.

    unfinished: sagas that have not ended.
    unpublished: events in the outbox.
    events: events stored.
    projected: events in the read model.
    completed: orders completed.
    notified: notifications sent.
    """

    unfinished: int
    unpublished: int
    events: int
    projected: int
    completed: int
    notified: int

    @property
    def settled(self) -> bool:
        """Whether all side effects have happened."""
        ended = not self.unfinished and not self.unpublished
        return ended and self.projected == self.events and self.notified == self.completed


@dataclass(frozen=True, slots=True)
class SideEffects:
    """The side effects at the last poll, and how long after the load that was."""

    progress: EffectProgress
    waited_seconds: float
    events: tuple[ObservedEvent, ...]


async def wait_for_effects(databases: Mapping[str, str]) -> SideEffects:
    """Wait until all side effects have happened, for at most 30 s, and return them. Raises TestbedError."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with _connections(databases) as connections:
            progress = await _progress(connections)
            while not progress.settled and loop.time() < began + SETTLE_SECONDS:
                await asyncio.sleep(_POLL_SECONDS)
                progress = await _progress(connections)
            return SideEffects(progress, loop.time() - began, await _stored_events(connections))
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise TestbedError(f"a database does not answer: {error}") from error


@asynccontextmanager
async def _connections(databases: Mapping[str, str]) -> AsyncIterator[Connections]:
    async with AsyncExitStack() as stack:
        opened: dict[str, asyncpg.Connection] = {}
        for name in _DATABASES:
            opened[name] = await asyncpg.connect(databases[name], timeout=_TIMEOUT_SECONDS)
            stack.push_async_callback(opened[name].close, timeout=_TIMEOUT_SECONDS)
        yield opened


async def _progress(connections: Connections) -> EffectProgress:
    # Purpose: count open and stored work, in one snapshot.
    orders = """
        SELECT (SELECT count(*) FROM sagas) AS unfinished, (SELECT count(*) FROM outbox) AS unpublished,
            count(*) AS events, count(*) FILTER (WHERE type = 'order.completed') AS completed
        FROM events"""
    # Purpose: versions are dense, so those of the orders add up to the number of events.
    summaries = "SELECT coalesce(sum(version), 0)::bigint FROM order_summaries"
    # Purpose: count the confirmations that were sent.
    notifications = "SELECT count(*) FROM notifications WHERE state = 'SENT'"
    [row] = await connections["order"].fetch(orders, timeout=_TIMEOUT_SECONDS)
    return EffectProgress(
        **row,
        projected=await connections["order_read"].fetchval(summaries, timeout=_TIMEOUT_SECONDS),
        notified=await connections["notification"].fetchval(notifications, timeout=_TIMEOUT_SECONDS),
    )


async def _stored_events(connections: Connections) -> tuple[ObservedEvent, ...]:
    # Purpose: the span of each event, as the event carries it to its consumers, without the flags.
    select = "SELECT type, left(meta->>'traceparent', -3) AS traceparent FROM events"
    rows = await connections["order"].fetch(select, timeout=_TIMEOUT_SECONDS)
    return tuple(ObservedEvent(row["type"], row["traceparent"]) for row in rows)

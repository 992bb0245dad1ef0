"""How are notifications kept in PostgreSQL? One row an event, which is the inbox and the effect at once."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.infra.postgres import Database, Transaction
from services.kernel.money import Money
from services.notification.api import Notification, RecordConfirmation


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many notifications are not sent yet, and how many of them are due."""

    pending: int
    due: int


class PostgresNotifications:
    """Satisfies `ports.Notifications`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["PostgresNotificationsTransaction"]:
        """Run a block in one transaction."""
        async with self._database.transaction("notification.send") as transaction:
            yield PostgresNotificationsTransaction(transaction)

    async def backlog(self) -> Backlog:
        """Count what waits."""
        # Purpose: both numbers from the index on what is pending.
        select = """
            SELECT count(*) AS pending, count(*) FILTER (WHERE due_time <= now()) AS due
            FROM notifications WHERE state = 'PENDING'"""
        (row,) = await self._database.fetch("SELECT notifications count", select)
        return Backlog(row["pending"], row["due"])


class PostgresNotificationsTransaction:
    """Satisfies `ports.NotificationsTransaction`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def claim(self, limit: int) -> list[Notification]:
        """Lock what is due; another process takes other rows."""
        # Purpose: the row stays PENDING until the commit, so nothing is lost with whoever claimed it.
        select = """
            SELECT event_id, order_id, customer_id, currency_code, total_minor, line_count, occur_time, traceparent,
                attempts
            FROM notifications WHERE state = 'PENDING' AND due_time <= now()
            ORDER BY due_time LIMIT $1 FOR UPDATE SKIP LOCKED"""
        return [_notification_of(row) for row in await self._transaction.fetch("SELECT notifications", select, limit)]

    async def mark_sent(self, event_ids: Sequence[UUID]) -> None:
        """Note that these locked ones were sent."""
        # Purpose: all in one statement.
        update = "UPDATE notifications SET state = 'SENT', send_time = clock_timestamp() WHERE event_id = ANY($1)"
        await self._transaction.execute("UPDATE notifications SENT", update, event_ids)

    async def postpone(self, delay_seconds: Mapping[UUID, float]) -> None:
        """Count one more failure for these locked ones; they are due again after their delays."""
        # Purpose: all in one statement, counted from now and not from the transaction's begin.
        update = """
            UPDATE notifications SET attempts = attempts + 1,
                due_time = clock_timestamp() + delay.seconds * interval '1 second'
            FROM unnest($1::uuid[], $2::float8[]) AS delay (event_id, seconds)
            WHERE notifications.event_id = delay.event_id"""
        event_ids, seconds = list(delay_seconds), list(delay_seconds.values())
        await self._transaction.execute("UPDATE notifications postponed", update, event_ids, seconds)


async def record(transaction: Transaction, commands: Sequence[RecordConfirmation]) -> int:
    """Record the confirmations in a consumer's transaction; return how many were new."""
    if not commands:
        return 0
    # Purpose: the event's id is the key, so an event that comes again changes nothing.
    insert = """
        INSERT INTO notifications (event_id, order_id, customer_id, currency_code, total_minor, line_count, occur_time,
            traceparent)
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::int[],
            $7::timestamptz[], $8::text[])
        ON CONFLICT (event_id) DO NOTHING"""
    return await transaction.execute(
        "INSERT notifications",
        insert,
        [command.event_id for command in commands],
        [command.order_id for command in commands],
        [command.customer_id for command in commands],
        [command.total and command.total.currency_code for command in commands],
        [command.total and command.total.minor_units for command in commands],
        [command.line_count for command in commands],
        [command.occur_time for command in commands],
        [command.traceparent for command in commands],
    )


def _notification_of(row: asyncpg.Record) -> Notification:
    """Return the notification in a row of `notifications`."""
    currency_code = row["currency_code"]
    return Notification(
        event_id=row["event_id"],
        order_id=row["order_id"],
        customer_id=row["customer_id"],
        total=None if currency_code is None else Money(currency_code, row["total_minor"]),
        line_count=row["line_count"],
        occur_time=row["occur_time"],
        traceparent=row["traceparent"],
        attempts=row["attempts"],
    )

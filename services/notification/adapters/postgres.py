"""Notifications in PostgreSQL: a row for each event, which makes repeats harmless and is the queue of the sender."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.infra.messaging.dead_letters import DeadLetters
from services.infra.messaging.message import Message
from services.infra.postgres import Database, Transaction
from services.kernel.money import Money
from services.notification.api import ConfirmationRefused, Notification, RecordConfirmation
from services.notification.application.ports import SEND_SECONDS

# Rejected confirmations are parked under this name: under the consumer's name, later events would wait behind them.
SENDER = "send_confirmations"
# Raises the role's own limit of 10 s for a transaction that idles.
IDLE_SECONDS = SEND_SECONDS + 10.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """Numbers of notifications: `pending` are not sent yet, and `due` of them may be sent now."""

    pending: int
    due: int


class PostgresNotifications:
    """Satisfies `ports.Notifications`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._dead_letters = DeadLetters(SENDER, database=database)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["PostgresNotificationsTransaction"]:
        """Run a with block in one transaction, which may idle while a batch is sent."""
        async with self._database.transaction("notification.send") as transaction:
            limit = f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS:.0f}s'"
            await transaction.fetch("SET idle_in_transaction_session_timeout", limit)
            yield PostgresNotificationsTransaction(transaction, self._dead_letters)

    async def backlog(self) -> Backlog:
        """Count the pending notifications, and those of them that are due."""
        # Purpose: both numbers from the index on pending notifications.
        select = """
            SELECT count(*) AS pending, count(*) FILTER (WHERE due_time <= now()) AS due
            FROM notifications WHERE state = 'PENDING'"""
        (row,) = await self._database.fetch("SELECT notifications count", select)
        return Backlog(row["pending"], row["due"])


class PostgresNotificationsTransaction:
    """Satisfies `ports.NotificationsTransaction`."""

    def __init__(self, transaction: Transaction, dead_letters: DeadLetters) -> None:
        self._transaction = transaction
        self._dead_letters = dead_letters

    async def claim(self, limit: int) -> list[Notification]:
        """Lock up to `limit` notifications that are due; another process locks other rows."""
        # Purpose: the row stays PENDING until the commit, so a process that dies loses none.
        select = """
            SELECT event_id, order_id, customer_id, currency_code, total_minor, line_count, occur_time, traceparent,
                attempts
            FROM notifications WHERE state = 'PENDING' AND due_time <= now()
            ORDER BY due_time LIMIT $1 FOR UPDATE SKIP LOCKED"""
        return [_notification_of(row) for row in await self._transaction.fetch("SELECT notifications", select, limit)]

    async def mark_sent(self, event_ids: Sequence[UUID]) -> None:
        """Mark these locked notifications as sent."""
        update = "UPDATE notifications SET state = 'SENT', send_time = clock_timestamp() WHERE event_id = ANY($1)"
        await self._transaction.execute("UPDATE notifications SENT", update, event_ids)

    async def park(self, refused: Sequence[Notification]) -> None:
        """Mark these locked notifications as refused, and park a dead letter for each; the content stays in the row."""
        # Purpose: rows that are REFUSED are not due.
        update = "UPDATE notifications SET state = 'REFUSED', attempts = attempts + 1 WHERE event_id = ANY($1)"
        event_ids = [notification.event_id for notification in refused]
        await self._transaction.execute("UPDATE notifications REFUSED", update, event_ids)
        for notification in refused:
            letter = Message(
                event_id=notification.event_id,
                type="confirmation",
                aggregate_id=notification.order_id,
                aggregate_version=1,
                occur_time=notification.occur_time,
                traceparent=notification.traceparent,
                data=b"",
            )
            await self._dead_letters.park(self._transaction, letter, reason=ConfirmationRefused.reason)

    async def postpone(self, delay_seconds: Mapping[UUID, float]) -> None:
        """Count one more failure of these locked notifications, and make them due after their delays."""
        # Purpose: delays count from now, and not from the transaction's begin.
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
    # Purpose: the event's id is the key, so a repeated event changes nothing.
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


async def send_again(transaction: Transaction, letters: Sequence[Message]) -> int:
    """Make the confirmations of parked letters due now; return how many there were."""
    update = """
        UPDATE notifications SET state = 'PENDING', attempts = 0, due_time = now()
        WHERE state = 'REFUSED' AND event_id = ANY($1)"""
    event_ids = [letter.event_id for letter in letters]
    return await transaction.execute("UPDATE notifications PENDING", update, event_ids)


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

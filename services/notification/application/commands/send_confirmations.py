"""Send the confirmations that are due; whatever cannot be sent now is due again later."""

import asyncio
from collections.abc import Callable

from services.kernel.errors import ServiceError
from services.notification.api import Notification
from services.notification.application.ports import Notifications, Sender


class SendConfirmationsHandler:
    """Claims, sends and marks in one transaction: a crash between the sending and the commit repeats the sending.

    So a confirmation is sent at least once. One that fails is postponed, with no limit: nothing is given up, and it
    holds up no other. `backoff_seconds` says how long after so many failures.
    """

    def __init__(
        self, *, notifications: Notifications, sender: Sender, backoff_seconds: Callable[[int], float]
    ) -> None:
        self._notifications = notifications
        self._sender = sender
        self._backoff_seconds = backoff_seconds

    async def __call__(self, limit: int) -> int:
        """Send up to `limit` confirmations, all at once; return how many were due."""
        async with self._notifications.transaction() as transaction:
            due = await transaction.claim(limit)
            outcomes = await asyncio.gather(*(self._is_sent(notification) for notification in due))
            sent = [notification.event_id for notification, is_sent in zip(due, outcomes, strict=True) if is_sent]
            delay_seconds = {
                notification.event_id: self._backoff_seconds(notification.attempts + 1)
                for notification, is_sent in zip(due, outcomes, strict=True)
                if not is_sent
            }
            if sent:
                await transaction.mark_sent(sent)
            if delay_seconds:
                await transaction.postpone(delay_seconds)
        return len(due)

    async def _is_sent(self, notification: Notification) -> bool:
        try:
            await self._sender.send(notification)
        except ServiceError:  # the sender has recorded it
            return False
        return True

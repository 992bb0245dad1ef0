"""Send the confirmations that are due; whatever cannot be sent now is due again later."""

import asyncio
from collections.abc import Callable

from services.kernel.errors import ServiceError
from services.notification.api import Notification
from services.notification.application.ports import Notifications, Sender

FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 60.0


class SendConfirmationsHandler:
    """Claims, sends and marks in one transaction: a crash between the sending and the commit repeats the sending.

    So a confirmation is sent at least once. One that fails is postponed, with no limit: nothing is given up, and it
    holds up no other. `chance` returns a random number from 0 to 1.
    """

    def __init__(self, *, notifications: Notifications, sender: Sender, chance: Callable[[], float]) -> None:
        self._notifications = notifications
        self._sender = sender
        self._chance = chance

    async def __call__(self, limit: int) -> int:
        """Send up to `limit` confirmations, all at once; return how many were due."""
        async with self._notifications.transaction() as transaction:
            due = await transaction.claim(limit)
            outcomes = await asyncio.gather(*(self._is_sent(notification) for notification in due))
            sent = [notification.event_id for notification, is_sent in zip(due, outcomes, strict=True) if is_sent]
            delay_seconds = {
                notification.event_id: backoff_seconds(notification.attempts + 1, chance=self._chance())
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


def backoff_seconds(failures: int, *, chance: float) -> float:
    """Return how long to wait after so many failures: full jitter below a bound that doubles from 0.2 to 60 s."""
    return chance * min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 20))

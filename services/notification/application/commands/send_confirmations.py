"""Send the confirmations that are due; failed ones are retried later, and rejected ones are parked."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from services.kernel.errors import ServiceError
from services.notification.api import ConfirmationRefused, Notification
from services.notification.application.ports import Notifications, Sender


class _Outcome(Enum):
    """How one sending ended."""

    SENT = auto()
    FAILED = auto()
    REFUSED = auto()


class SendConfirmationsHandler:
    """Claims, sends and marks in one transaction, so a crash before the commit repeats the sending: at least once.

    A confirmation that fails is retried without a limit, and one that is rejected for good is parked; neither delays
    the others. `backoff_seconds` returns the delay after so many failures; `on_parked` is called with the number of
    parked ones after the commit.
    """

    def __init__(
        self,
        *,
        notifications: Notifications,
        sender: Sender,
        backoff_seconds: Callable[[int], float],
        on_parked: Callable[[int], None],
    ) -> None:
        self._notifications = notifications
        self._sender = sender
        self._backoff_seconds = backoff_seconds
        self._on_parked = on_parked

    async def __call__(self, limit: int) -> int:
        """Send up to `limit` confirmations, all at once; return how many were due."""
        async with self._notifications.transaction() as transaction:
            due = await transaction.claim(limit)
            outcomes = await asyncio.gather(*(self._send(notification) for notification in due))
            by_outcome: dict[_Outcome, list[Notification]] = {outcome: [] for outcome in _Outcome}
            for notification, outcome in zip(due, outcomes, strict=True):
                by_outcome[outcome].append(notification)
            if sent := by_outcome[_Outcome.SENT]:
                await transaction.mark_sent([notification.event_id for notification in sent])
            if refused := by_outcome[_Outcome.REFUSED]:
                await transaction.park(refused)
            if failed := by_outcome[_Outcome.FAILED]:
                await transaction.postpone({each.event_id: self._backoff_seconds(each.attempts + 1) for each in failed})
        self._on_parked(len(refused))
        return len(due)

    async def _send(self, notification: Notification) -> _Outcome:
        try:
            await self._sender.send(notification)
        except ConfirmationRefused:
            return _Outcome.REFUSED
        except ServiceError:  # the sender has recorded it
            return _Outcome.FAILED
        return _Outcome.SENT

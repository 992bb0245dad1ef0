"""Send the confirmations that are due; what cannot be sent now is due again later, what is refused is set aside."""

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
    """Claims, sends and marks in one transaction: a crash between the sending and the commit repeats the sending.

    So a confirmation is sent at least once. One that fails is postponed, with no limit, and one that is refused for
    good is set aside; neither holds up another. `backoff_seconds` says how long after so many failures; `set_aside` is
    told how many were, when that is committed.
    """

    def __init__(
        self,
        *,
        notifications: Notifications,
        sender: Sender,
        backoff_seconds: Callable[[int], float],
        set_aside: Callable[[int], None],
    ) -> None:
        self._notifications = notifications
        self._sender = sender
        self._backoff_seconds = backoff_seconds
        self._set_aside = set_aside

    async def __call__(self, limit: int) -> int:
        """Send up to `limit` confirmations, all at once; return how many were due."""
        async with self._notifications.transaction() as transaction:
            due = await transaction.claim(limit)
            outcomes = await asyncio.gather(*(self._send(notification) for notification in due))
            ended: dict[_Outcome, list[Notification]] = {outcome: [] for outcome in _Outcome}
            for notification, outcome in zip(due, outcomes, strict=True):
                ended[outcome].append(notification)
            if sent := ended[_Outcome.SENT]:
                await transaction.mark_sent([notification.event_id for notification in sent])
            if refused := ended[_Outcome.REFUSED]:
                await transaction.give_up(refused)
            if failed := ended[_Outcome.FAILED]:
                await transaction.postpone({each.event_id: self._backoff_seconds(each.attempts + 1) for each in failed})
        self._set_aside(len(refused))
        return len(due)

    async def _send(self, notification: Notification) -> _Outcome:
        try:
            await self._sender.send(notification)
        except ConfirmationRefused:
            return _Outcome.REFUSED
        except ServiceError:  # the sender has recorded it
            return _Outcome.FAILED
        return _Outcome.SENT

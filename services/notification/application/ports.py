"""Ports of the use case: protocols that PostgreSQL, a folder and SMTP satisfy."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from services.notification.api import Notification

# Most seconds for one mail, from the connection to the mail server on. With a longer limit fewer mails are sent again
# whose answer was only late; the claiming transaction idles meanwhile.
SEND_SECONDS = 60.0
# As many are claimed and sent at once: none waits for another, so that the limit of each is its own.
BATCH_SIZE = 10


class Sender(Protocol):
    """Hands confirmations over."""

    async def send(self, notification: Notification, /) -> None:
        """Send one, or the same one again, within SEND_SECONDS.

        Raises ConfirmationNotSent, ConfirmationRefused; a bug is Internal.
        """


class NotificationsTransaction(Protocol):
    """One transaction on the notifications: what it claims is its own until it ends."""

    async def claim(self, limit: int) -> Sequence[Notification]:
        """Lock up to `limit` pending notifications that are due, the longest due first; skip what others hold."""

    async def mark_sent(self, event_ids: Sequence[UUID]) -> None:
        """Note that these were sent."""

    async def give_up(self, refused: Sequence[Notification]) -> None:
        """Set these aside as dead letters, for a person to replay."""

    async def postpone(self, delay_seconds: Mapping[UUID, float]) -> None:
        """Note a failed attempt for each of these, and when the next one is due."""


class Notifications(Protocol):
    """All notifications. Any method may raise the kernel's errors."""

    def transaction(self) -> AbstractAsyncContextManager[NotificationsTransaction]:
        """Run a block in one transaction; an error in it undoes it."""

"""Ports of the use case: protocols that PostgreSQL, a folder and SMTP satisfy."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from services.notification.api import Notification

# Most seconds for one mail, with the connection to the mail server. A mail whose answer comes later is sent twice, so
# the limit is long; the claiming transaction idles meanwhile.
SEND_SECONDS = 60.0
# So many are claimed, and all of them are sent at once, so that each has the whole SEND_SECONDS.
BATCH_SIZE = 10


class Sender(Protocol):
    """Sends confirmations."""

    async def send(self, notification: Notification, /) -> None:
        """Send a confirmation within SEND_SECONDS; it may be sent again.

        Raises ConfirmationNotSent, ConfirmationRefused, and Internal for a bug.
        """


class NotificationsTransaction(Protocol):
    """One transaction on the notifications; it holds the locks of those that it claims."""

    async def claim(self, limit: int) -> Sequence[Notification]:
        """Lock up to `limit` pending notifications that are due, the longest due first; skip locked ones."""

    async def mark_sent(self, event_ids: Sequence[UUID]) -> None:
        """Mark these notifications as sent."""

    async def park(self, refused: Sequence[Notification]) -> None:
        """Set these aside as dead letters, for a person to replay."""

    async def postpone(self, delay_seconds: Mapping[UUID, float]) -> None:
        """Count a failed attempt for each of these, and make them due after their delays."""


class Notifications(Protocol):
    """All notifications. Any method may raise the kernel's errors."""

    def transaction(self) -> AbstractAsyncContextManager[NotificationsTransaction]:
        """Run a with block in one transaction; an error rolls it back."""

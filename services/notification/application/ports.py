"""What does the use case need from outside? Protocols; PostgreSQL, a folder and SMTP satisfy them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from services.notification.api import Notification

# The claiming transaction idles while its batch is sent, and PostgreSQL ends one that idles for 10 s.
SEND_SECONDS = 8.0


class Sender(Protocol):
    """Hands confirmations over."""

    async def send(self, notification: Notification, /) -> None:
        """Send one, or the same one again, within SEND_SECONDS. Raises ConfirmationNotSent; a bug is Internal."""


class NotificationsTransaction(Protocol):
    """One transaction on the notifications: what it claims is its own until it ends."""

    async def claim(self, limit: int) -> Sequence[Notification]:
        """Lock up to `limit` pending notifications that are due, the longest due first; skip what others hold."""

    async def mark_sent(self, event_ids: Sequence[UUID]) -> None:
        """Note that these were sent."""

    async def postpone(self, delay_seconds: Mapping[UUID, float]) -> None:
        """Note a failed attempt for each of these, and when the next one is due."""


class Notifications(Protocol):
    """All notifications. Any method may raise the kernel's errors."""

    def transaction(self) -> AbstractAsyncContextManager[NotificationsTransaction]:
        """Run a block in one transaction; an error in it undoes it."""

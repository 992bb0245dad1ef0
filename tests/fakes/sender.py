"""Sender that records confirmations; satisfies `services.notification.application.ports.Sender`."""

from services.notification.api import Notification


class FakeSender:
    """Sender that records every confirmation, repeats included."""

    def __init__(self) -> None:
        self.sent: list[Notification] = []

    async def send(self, notification: Notification) -> None:
        """Record the confirmation."""
        self.sent.append(notification)

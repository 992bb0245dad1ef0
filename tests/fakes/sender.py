"""A sender that keeps what it is given; satisfies `services.notification.application.ports.Sender`."""

from services.notification.api import Notification


class FakeSender:
    """Notes every confirmation it is asked to send, repeats included."""

    def __init__(self) -> None:
        self.sent: list[Notification] = []

    async def send(self, notification: Notification) -> None:
        """Note it."""
        self.sent.append(notification)

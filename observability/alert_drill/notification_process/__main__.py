"""Notification process of the drill: DRILL_MAIL gives it a faulty mail client, `cancels` or `leaks`."""

import asyncio
import os

from services.infra import lifecycle, program
from services.infra.settings import read_settings
from services.notification.__main__ import serve
from services.notification.api import Notification
from services.notification.application.ports import Sender
from services.notification.bootstrap import make_sender
from services.notification.settings import NotificationSettings

FAULT_VARIABLE = "DRILL_MAIL"
BUFFER_BYTES = 256 * 1024


class CancellingSender:
    """A sender like a library that lets its internal cancellation escape to the caller."""

    async def send(self, _notification: Notification) -> None:
        """Raise CancelledError and send nothing."""
        raise asyncio.CancelledError


class LeakingSender:
    """A sender like a library that never frees the buffer of a sent message."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._buffers: list[bytes] = []

    async def send(self, notification: Notification) -> None:
        """Send, and leak a buffer. Raises as the sender does."""
        await self._sender.send(notification)
        self._buffers.append(b"x" * BUFFER_BYTES)  # written to: untouched pages are not resident


def sender_of(settings: NotificationSettings) -> Sender:
    """Return the sender of the settings, or the faulty one that DRILL_MAIL names."""
    match os.environ.get(FAULT_VARIABLE):
        case None:
            return make_sender(settings)
        case "cancels":
            return CancellingSender()
        case "leaks":
            return LeakingSender(make_sender(settings))
        case unknown:
            raise SystemExit(f"{FAULT_VARIABLE} must be cancels or leaks, not {unknown!r}")


def command(_arguments: list[str]) -> None:
    """Serve until stopped."""
    settings = read_settings(NotificationSettings)
    lifecycle.run("notification", settings, lambda runtime: serve(settings, runtime, sender_of=sender_of))


if __name__ == "__main__":
    program.main("notification", command)

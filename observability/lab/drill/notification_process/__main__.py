"""Run notification; with DRILL_MAIL_CANCELS its mail client lets out a cancellation of its own."""

import asyncio
import os

from services.infra import lifecycle, program
from services.infra.settings import read_settings
from services.notification.__main__ import serve
from services.notification.api import Notification
from services.notification.bootstrap import make_sender
from services.notification.settings import NotificationSettings

CANCELS_VARIABLE = "DRILL_MAIL_CANCELS"


class CancellingSender:
    """A sender as of a library that cancels its task when a connection ends, and tells the caller so."""

    async def send(self, _notification: Notification) -> None:
        """Send nothing."""
        raise asyncio.CancelledError


def command(_arguments: list[str]) -> None:
    """Serve."""
    sender_of = (lambda _: CancellingSender()) if CANCELS_VARIABLE in os.environ else make_sender
    settings = read_settings(NotificationSettings)
    lifecycle.run("notification", settings, lambda runtime: serve(settings, runtime, sender_of=sender_of))


if __name__ == "__main__":
    program.main("notification", command)

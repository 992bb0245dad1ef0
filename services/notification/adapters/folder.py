"""Confirmations as e-mail files in a folder, for a shop without a mail server."""

import asyncio
import os
from email.policy import SMTP
from pathlib import Path
from tempfile import NamedTemporaryFile

from services.notification.adapters.mail import Addresses, mail_of
from services.notification.api import ConfirmationNotSent, Notification

WRITE_SECONDS = 8.0


class FolderSender:
    """Satisfies `ports.Sender` by `<event_id>.eml` files, readable by their owner only.

    A repeat writes the same bytes to the same name. A file is always complete and survives a power cut; a process that
    is killed while it writes may leave a `.draft`.
    """

    def __init__(self, folder: Path, *, addresses: Addresses) -> None:
        self._folder = folder
        self._addresses = addresses

    async def send(self, notification: Notification) -> None:
        """Write the file. Raises ConfirmationNotSent."""
        content = mail_of(notification, self._addresses).as_bytes(policy=SMTP)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await asyncio.to_thread(write_durably, self._folder / f"{notification.event_id}.eml", content)
        except OSError as error:  # TimeoutError is one of them
            raise ConfirmationNotSent(type(error).__name__) from error


def write_durably(path: Path, content: bytes) -> None:
    """Write a file completely or not at all, and sync it to the disk. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A unique name, since an attempt that has timed out may still be writing.
    with NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", suffix=".draft", delete=False) as draft:
        try:
            draft.write(content)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(path)
        except OSError:
            Path(draft.name).unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

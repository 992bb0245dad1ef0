"""How does a confirmation leave by mail? Over SMTP, one connection each, a few at a time, each within a bound."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import aiosmtplib

from services.notification.adapters.mail import Addresses, mail_of
from services.notification.api import ConfirmationNotSent, Notification
from services.notification.application.ports import SEND_SECONDS

MOST_CONNECTIONS = 10
QUIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where the mail server is and how to speak to it.

    STARTTLS is used where it is offered, and `starttls` refuses a server without it; a certificate that cannot be
    verified is a failure in either case.
    """

    host: str
    port: int
    starttls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class SmtpSender:
    """Satisfies `ports.Sender`, at least once: no answer to the DATA does not say whether the server has the mail.

    A repeat has the same Message-ID, `<event_id@domain of the sender>`, by which receivers know it.
    """

    def __init__(self, server: SmtpServer, *, addresses: Addresses) -> None:
        self._server = server
        self._addresses = addresses
        self._connections = asyncio.Semaphore(MOST_CONNECTIONS)

    async def send(self, notification: Notification) -> None:
        """Hand the mail to the server. Raises ConfirmationNotSent."""
        client = self._client()
        try:
            # The client's own limit is for each of its commands, ours for all of them and the wait for a connection.
            async with asyncio.timeout(SEND_SECONDS), self._connections:
                await client.connect()
                await client.send_message(mail_of(notification, self._addresses))
            # The server has the mail: a QUIT that fails changes nothing.
            with contextlib.suppress(aiosmtplib.SMTPException):
                await client.quit(timeout=QUIT_SECONDS)
        except (aiosmtplib.SMTPException, OSError) as error:  # a refused certificate is only an OSError
            raise ConfirmationNotSent(type(error).__name__) from error
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            start_tls=True if server.starttls else None,
            timeout=SEND_SECONDS,
            local_hostname=self._addresses.domain,  # its default asks the DNS, without a limit
        )

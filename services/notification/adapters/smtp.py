"""Confirmations by SMTP: a connection for each e-mail, within a time limit."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from email.policy import SMTP

import aiosmtplib

from services.notification.adapters.mail import Addresses, mail_of
from services.notification.api import ConfirmationNotSent, ConfirmationRefused, Notification
from services.notification.application.ports import SEND_SECONDS

# Limit for the connection and for each answer before the mail's content; the answer to the content may take longer.
ANSWER_SECONDS = 8.0
QUIT_SECONDS = 1.0
# Answer codes from here on are final: the server would reject the same mail later, too.
PERMANENT = 500


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Address of the mail server, and the login.

    host: its name or IP address.
    port: its port.
    starttls: require STARTTLS; false: use it only when the server offers it. Its certificate must be valid in any case.
    username: user name of the login; None: no login.
    password: password of the login.
    """

    host: str
    port: int
    starttls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class SmtpSender:
    """Satisfies `ports.Sender`, at least once: without an answer to the content, the server may have the mail.

    So it waits for that answer up to SEND_SECONDS. A repeat has the same Message-ID,
    `<event_id@domain of the sender>`, by which receivers can recognise it.
    """

    def __init__(self, server: SmtpServer, *, addresses: Addresses) -> None:
        self._server = server
        self._addresses = addresses

    async def send(self, notification: Notification) -> None:
        """Send the mail. Raises ConfirmationNotSent, ConfirmationRefused."""
        client = self._client()
        mail = mail_of(notification, self._addresses)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await client.connect()
                await client.mail(self._addresses.sender)
                await client.rcpt(mail["To"])
                await client.data(mail.as_bytes(policy=SMTP), timeout=SEND_SECONDS)
            # The server has accepted the mail, so a failing QUIT does not matter.
            with contextlib.suppress(aiosmtplib.SMTPException):
                await client.quit(timeout=QUIT_SECONDS)
        except (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError) as error:
            if error.code >= PERMANENT:
                raise ConfirmationRefused(error.code) from error
            raise ConfirmationNotSent(type(error).__name__) from error
        except (aiosmtplib.SMTPException, OSError) as error:  # an invalid certificate raises an OSError
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
            timeout=ANSWER_SECONDS,
            local_hostname=self._addresses.domain,  # the default is a DNS query without a timeout
        )

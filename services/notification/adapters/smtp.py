"""Confirmations by SMTP, a connection each, each conversation within a bound."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from email.policy import SMTP

import aiosmtplib

from services.notification.adapters.mail import Addresses, mail_of
from services.notification.api import ConfirmationNotSent, ConfirmationRefused, Notification
from services.notification.application.ports import SEND_SECONDS

# For the connection, and for the answer to each command before the mail; the answer to the mail may take longer.
ANSWER_SECONDS = 8.0
QUIT_SECONDS = 1.0
# Answers from here on are for good: the same mail will not be taken later.
PERMANENT = 500


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
    """Satisfies `ports.Sender`, at least once: without an answer to the mail it is unknown whether the server has it.

    So that answer is waited for up to SEND_SECONDS, and not less because others were sent before. A repeat has the same
    Message-ID, `<event_id@domain of the sender>`, by which receivers know it.
    """

    def __init__(self, server: SmtpServer, *, addresses: Addresses) -> None:
        self._server = server
        self._addresses = addresses

    async def send(self, notification: Notification) -> None:
        """Hand the mail to the server. Raises ConfirmationNotSent, ConfirmationRefused."""
        client = self._client()
        mail = mail_of(notification, self._addresses)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await client.connect()
                await client.mail(self._addresses.sender)
                await client.rcpt(mail["To"])
                await client.data(mail.as_bytes(policy=SMTP), timeout=SEND_SECONDS)
            # The server has the mail: a QUIT that fails changes nothing.
            with contextlib.suppress(aiosmtplib.SMTPException):
                await client.quit(timeout=QUIT_SECONDS)
        except (aiosmtplib.SMTPRecipientRefused, aiosmtplib.SMTPDataError) as error:
            if error.code >= PERMANENT:
                raise ConfirmationRefused(error.code) from error
            raise ConfirmationNotSent(type(error).__name__) from error
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
            timeout=ANSWER_SECONDS,
            local_hostname=self._addresses.domain,  # its default asks the DNS, without a limit
        )

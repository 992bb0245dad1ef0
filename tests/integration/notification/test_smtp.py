"""The SMTP sender with a mail server over real sockets, also with one that misbehaves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from services.notification.adapters import smtp
from services.notification.adapters.smtp import SmtpSender, SmtpServer
from services.notification.api import ConfirmationNotSent, ConfirmationRefused
from tests.integration.notification.conftest import ADDRESSES
from tests.patience import PATIENCE_SECONDS
from tests.unit.notification.test_confirmation import NOTIFICATION

SILENCE = b""
HANG_UP = b"hang up"


@dataclass(slots=True)
class MailServer:
    """Answers one line a command as `answers` says; keeps the mails it takes."""

    answers: dict[str, bytes] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak with one client until it leaves."""
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            writer.write(b"220 test\r\n")
            while line := await reader.readline():
                self.commands.append(line.decode().strip())
                answer = await self._answer(line.split()[0].decode().upper(), reader, writer)
                if answer == HANG_UP:
                    return
                writer.write(answer)

    async def _answer(self, verb: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        given = self.answers.get(verb)
        if verb == "DATA":
            writer.write(b"354 go on\r\n")
            content = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
            if given in {None, HANG_UP, SILENCE}:
                self.mails.append(message_from_bytes(content, policy=policy.default))
        return b"250 fine\r\n" if given is None else given

    def sender(self, *, starttls: bool = False, username: str | None = None) -> SmtpSender:
        """Return a sender to this server."""
        password = username and "hidden"
        server = SmtpServer("127.0.0.1", self.port, starttls=starttls, username=username, password=password)
        return SmtpSender(server, addresses=ADDRESSES)


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """Run a mail server that accepts every mail."""
    mail_server = MailServer()
    listening = await asyncio.start_server(mail_server.serve, "127.0.0.1", 0)
    mail_server.port = listening.sockets[0].getsockname()[1]
    yield mail_server
    listening.close()


async def failure(sender: SmtpSender) -> ConfirmationNotSent:
    """Send, and return how it failed."""
    with pytest.raises(ConfirmationNotSent) as caught:
        await sender.send(NOTIFICATION)
    return caught.value


async def test_the_server_gets_the_mail(server: MailServer) -> None:
    """Under the event's Message-ID, from and to the addresses of the envelope."""
    await server.sender().send(NOTIFICATION)
    (mail,) = server.mails
    assert mail["Message-ID"] == f"<{NOTIFICATION.event_id}@shop.example>"
    assert "GBP 12.05" in mail.get_content()
    assert f"RCPT TO:<{NOTIFICATION.customer_id}@customers.example>" in server.commands
    assert server.commands[-1] == "QUIT"


async def test_a_repeat_has_the_same_message_id(server: MailServer) -> None:
    """So that receivers know it."""
    sender = server.sender()
    await sender.send(NOTIFICATION)
    await sender.send(NOTIFICATION)
    assert len({mail["Message-ID"] for mail in server.mails}) == 1


@pytest.mark.parametrize(
    ("verb", "answer", "cause"),
    [
        ("RCPT", b"451 try later\r\n", "SMTPRecipientRefused"),
        ("MAIL", b"550 not you\r\n", "SMTPSenderRefused"),
        ("DATA", b"452 disk full\r\n", "SMTPDataError"),
        ("EHLO", HANG_UP, "SMTPServerDisconnected"),
        ("DATA", HANG_UP, "SMTPServerDisconnected"),
    ],
)
async def test_a_refusal_is_a_failure_that_names_no_address(
    server: MailServer, verb: str, answer: bytes, cause: str
) -> None:
    """Only the type of the error is kept."""
    server.answers[verb] = answer
    error = await failure(server.sender())
    assert error.cause == cause
    assert "customers.example" not in repr(error) + str(error)


@pytest.mark.parametrize(
    ("verb", "answer", "code"),
    [("RCPT", b"550 no such user\r\n", 550), ("RCPT", b"552 full\r\n", 552), ("DATA", b"554 not wanted\r\n", 554)],
)
async def test_a_permanent_rejection_is_a_kind_of_its_own(
    server: MailServer, verb: str, answer: bytes, code: int
) -> None:
    """Of the recipient or the content; it names no address either."""
    server.answers[verb] = answer
    with pytest.raises(ConfirmationRefused) as caught:
        await server.sender().send(NOTIFICATION)
    assert caught.value.code == code
    assert "customers.example" not in repr(caught.value) + str(caught.value)


async def test_the_answer_to_data_has_a_longer_timeout(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that falls silent before it has the mail is given up earlier."""
    monkeypatch.setattr(smtp, "ANSWER_SECONDS", 0.2)
    server.answers["RCPT"] = SILENCE
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            error = await failure(server.sender())
            # On a slow machine an answer before that may be late as well.
            if any(command.startswith("RCPT") for command in server.commands):
                break
    assert error.cause == "SMTPReadTimeoutError"


async def test_a_server_that_falls_silent_is_given_up(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the time limit; it is unknown whether the server has the mail."""
    monkeypatch.setattr(smtp, "SEND_SECONDS", 0.2)
    server.answers["DATA"] = SILENCE
    async with asyncio.timeout(PATIENCE_SECONDS):
        error = await failure(server.sender())
    assert error.cause in {"TimeoutError", "SMTPReadTimeoutError"}


async def test_a_refused_connection_is_a_failure() -> None:
    taken = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    free_port = taken.sockets[0].getsockname()[1]
    taken.close()
    await taken.wait_closed()
    sender = SmtpSender(SmtpServer("127.0.0.1", free_port, starttls=False), addresses=ADDRESSES)
    assert (await failure(sender)).cause == "SMTPConnectError"


@pytest.mark.parametrize("answer", [HANG_UP, b"500 what?\r\n"])
async def test_a_goodbye_that_fails_leaves_the_mail_sent(server: MailServer, answer: bytes) -> None:
    """The server has it."""
    server.answers["QUIT"] = answer
    await server.sender().send(NOTIFICATION)
    assert len(server.mails) == 1


async def test_a_goodbye_that_is_not_answered_leaves_the_mail_sent(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within its own bound."""
    monkeypatch.setattr(smtp, "QUIT_SECONDS", 0.1)
    server.answers["QUIT"] = SILENCE
    await server.sender().send(NOTIFICATION)
    assert len(server.mails) == 1


async def test_without_the_required_starttls_nothing_is_sent(server: MailServer) -> None:
    """No login, no mail."""
    await failure(server.sender(starttls=True, username="u"))
    assert [command.split()[0] for command in server.commands] == ["EHLO"]


async def test_a_refused_login_is_a_failure(server: MailServer) -> None:
    """And its password is in no repr."""
    server.answers |= {"EHLO": b"250-test\r\n250 AUTH PLAIN\r\n", "AUTH": b"535 no\r\n"}
    sender = server.sender(username="u")
    assert (await failure(sender)).cause == "SMTPAuthenticationError"
    assert "hidden" not in repr(sender._server)

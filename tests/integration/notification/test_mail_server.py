"""Each customer gets one mail from a real mail server that is slow, or refuses some of them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from uuid import UUID

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.infra.messaging.dead_letters import DeadLetters
from services.kernel.errors import Unavailable
from services.notification.adapters import smtp
from services.notification.adapters.postgres import SENDER, PostgresNotificationsTransaction, send_again
from services.notification.adapters.smtp import SmtpSender, SmtpServer
from tests.integration.notification.conftest import ADDRESSES, CUSTOMER_ID, Bench, event

RECIPIENT = f"{CUSTOMER_ID}@customers.example"


@dataclass  # without slots: aiosmtpd looks at every attribute, and on Python 3.11.2 that of weak references fails
class Mailbox:
    """Takes mails after a while; refuses some orders' as told, by an answer each."""

    delay_seconds: float = 0.0
    refusals: dict[UUID, str] = field(default_factory=dict)
    recipient_answer: str = "250 fine"
    message_ids: list[str] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take the recipient, or not."""
        envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail, then answer late."""
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        for order_id, answer in self.refusals.items():
            if str(order_id) in mail["Subject"]:
                return answer
        self.message_ids.append(mail["Message-ID"])
        await asyncio.sleep(self.delay_seconds)
        return "250 kept"


@pytest.fixture
async def mailbox(bench: Bench) -> AsyncIterator[Mailbox]:
    """Run a mail server on the loopback, to which the bench sends."""
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(box, hostname="test"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bench.sender.sender = SmtpSender(SmtpServer("127.0.0.1", port, starttls=False), addresses=ADDRESSES)
    yield box
    server.close()


async def record(bench: Bench, count: int) -> list[UUID]:
    """Record some notifications; return their orders."""
    messages = [event() for _ in range(count)]
    bench.log.messages += messages
    await bench.consume()
    return [message.aggregate_id for message in messages]


async def test_a_slow_server_gets_each_mail_once(
    bench: Bench, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of one does not run while others are sent: here five rounds take longer than that."""
    await record(bench, 10)
    began = time.monotonic()
    await bench.send()
    # Of a slow machine one round of prompt answers takes long as well.
    mailbox.delay_seconds = max(1.0, 3 * (time.monotonic() - began))
    monkeypatch.setattr(smtp, "SEND_SECONDS", 4 * mailbox.delay_seconds)
    await record(bench, 50)
    await bench.send()
    assert Counter(Counter(mailbox.message_ids).values()) == {1: 60}
    assert {row["state"] for row in await bench.rows()} == {"SENT"}


async def test_a_permanent_rejection_is_parked_and_others_are_sent(bench: Bench, mailbox: Mailbox) -> None:
    """It is sent once and counted as a dead letter; a replay sends it when the server accepts it again."""
    refused, *others = await record(bench, 5)
    mailbox.refusals[refused] = "554 no"
    await bench.send()
    states = {row["order_id"]: row["state"] for row in await bench.rows()}
    assert states == {refused: "REFUSED", **dict.fromkeys(others, "SENT")}
    letters = DeadLetters(SENDER, database=bench.database)
    assert [(each.message.aggregate_id, each.reason) for each in await letters.list(10)] == [
        (refused, "CONFIRMATION_REFUSED")
    ]
    assert bench.value("shop_dead_letters_total", {"consumer": SENDER}) == 1
    assert bench.value("shop_notifications_pending") == 0
    mailbox.refusals.clear()
    await letters.replay(send_again)
    await bench.send()
    assert {row["state"] for row in await bench.rows()} == {"SENT"}
    assert (bench.sender.asked.count(refused), await letters.count()) == (2, 0)


async def test_a_refusal_that_is_not_stored_is_not_counted(
    bench: Bench, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is met again, and counted then."""

    async def lose_connection(*_: object) -> None:
        raise Unavailable(1.0)

    (refused,) = await record(bench, 1)
    mailbox.refusals[refused] = "554 no"
    with monkeypatch.context() as patch:
        patch.setattr(PostgresNotificationsTransaction, "park", lose_connection)
        with pytest.raises(Unavailable):
            await bench.parts.send()
    assert bench.value("shop_dead_letters_total", {"consumer": SENDER}) == 0
    await bench.send()
    assert bench.value("shop_dead_letters_total", {"consumer": SENDER}) == 1


async def test_an_unknown_recipient_is_parked_alone(bench: Bench, mailbox: Mailbox) -> None:
    """Nothing of his address is kept."""
    mailbox.recipient_answer = f"550 no {RECIPIENT} here"
    await record(bench, 1)
    await bench.send()
    mailbox.recipient_answer = "250 fine"
    await record(bench, 1)
    await bench.send()
    assert sorted(row["state"] for row in await bench.rows()) == ["REFUSED", "SENT"]
    assert RECIPIENT not in bench.logs.getvalue().decode()


async def test_a_temporary_rejection_is_retried(bench: Bench, mailbox: Mailbox) -> None:
    (order_id,) = await record(bench, 1)
    mailbox.refusals[order_id] = "451 try later"
    await bench.parts.send()
    assert [(row["state"], row["attempts"]) for row in await bench.rows()] == [("PENDING", 1)]
    mailbox.refusals.clear()
    await bench.make_due()
    await bench.send()
    assert [row["state"] for row in await bench.rows()] == ["SENT"]


async def test_a_batch_may_outlast_the_idle_transaction_timeout(bench: Bench, mailbox: Mailbox) -> None:
    """The claim has a limit of its own; the role's is shorter, as it is in the shop."""
    await record(bench, 1)
    alter = "ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = '1s'"
    async with bench.database.transaction("test") as transaction:
        await transaction.fetch("ALTER ROLE", alter)
    await bench.database._pool.expire_connections()
    mailbox.delay_seconds = 2.0
    await bench.send()
    assert [row["state"] for row in await bench.rows()] == ["SENT"]
    async with bench.database.transaction("test") as transaction:
        await transaction.fetch("ALTER ROLE", "ALTER ROLE CURRENT_USER RESET idle_in_transaction_session_timeout")

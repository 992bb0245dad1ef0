"""Sending of notifications: at least once, failures delay no others, and telemetry holds nothing of the customer."""

import asyncio
import json
from uuid import UUID

import asyncpg
import pytest
from opentelemetry.sdk.trace import ReadableSpan

from services.kernel.errors import Unavailable
from services.notification.adapters.postgres import PostgresNotificationsTransaction
from services.notification.api import ConfirmationNotSent
from tests.integration.notification.conftest import CUSTOMER_ID, TRACEPARENT, Bench, event
from tests.patience import PATIENCE_SECONDS


async def record(bench: Bench, count: int = 1) -> list[UUID]:
    """Record some notifications; return their orders."""
    messages = [event() for _ in range(count)]
    bench.log.messages += messages
    await bench.consume()
    return [message.aggregate_id for message in messages]


def sendings(bench: Bench) -> list[ReadableSpan]:
    """Return the spans of sent e-mails."""
    spans = bench.spans.get_finished_spans()
    return [span for span in spans if span.name == "notification.send_confirmation"]


async def test_an_event_becomes_one_file_and_is_sent(bench: Bench) -> None:
    """Named by the event."""
    await record(bench)
    await bench.send()
    (row,) = await bench.rows()
    assert bench.files() == [f"{row['event_id']}.eml"]
    assert (row["state"], row["attempts"]) == ("SENT", 0)
    assert row["send_time"] is not None


async def test_a_sent_notification_is_not_sent_again(bench: Bench) -> None:
    """Neither by a further step nor by a repeated event."""
    orders = await record(bench)
    await bench.send()
    bench.log.redeliver(*bench.log.messages)
    await bench.consume()
    await bench.send()
    assert bench.sender.asked == orders


async def test_more_than_a_batch_is_sent_without_a_pause(bench: Bench) -> None:
    """Each once."""
    orders = await record(bench, 120)
    await bench.send()
    assert sorted(bench.sender.asked) == sorted(orders)
    assert len(bench.files()) == 120


async def test_two_processes_send_each_once(bench: Bench) -> None:
    """What one holds the other skips."""
    orders = await record(bench, 120)
    await asyncio.gather(bench.send(), bench.send())
    await bench.send()
    assert sorted(bench.sender.asked) == sorted(orders)


async def test_a_failure_is_tried_again_when_it_is_due(bench: Bench, not_sent: ConfirmationNotSent) -> None:
    """And then it is sent."""
    (order_id,) = await record(bench)
    bench.sender.failures[order_id] = not_sent
    await bench.parts.send()
    (row,) = await bench.rows()
    assert (row["state"], row["attempts"], bench.files()) == ("PENDING", 1, [])
    bench.sender.failures.clear()
    await bench.make_due()
    await bench.send()
    assert [row["state"] for row in await bench.rows()] == ["SENT"]


@pytest.mark.parametrize("error", [ConfirmationNotSent("TimeoutError"), KeyError("a bug")])
async def test_a_failure_holds_up_no_other(bench: Bench, error: Exception) -> None:
    """Not even a bug does."""
    broken, *others = await record(bench, 5)
    bench.sender.failures[broken] = error
    await bench.parts.send()
    states = {row["order_id"]: row["state"] for row in await bench.rows()}
    assert states == {broken: "PENDING", **dict.fromkeys(others, "SENT")}


async def test_a_crash_between_send_and_commit_repeats_the_send(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder, the repeat writes the same file."""

    async def lose_connection(*_: object) -> None:
        raise Unavailable(1.0)

    orders = await record(bench)
    with monkeypatch.context() as patch:
        patch.setattr(PostgresNotificationsTransaction, "mark_sent", lose_connection)
        with pytest.raises(Unavailable):
            await bench.parts.send()
    await bench.send()
    assert bench.sender.asked == orders * 2
    assert len(bench.files()) == 1


async def test_a_sending_is_a_trace_of_its_own_linked_to_the_order(bench: Bench) -> None:
    """With the order and how long its customer had to wait."""
    (order_id,) = await record(bench)
    await bench.send()
    (span,) = sendings(bench)
    (link,) = span.links
    assert f"{link.context.trace_id:032x}" == TRACEPARENT.split("-")[1]
    assert span.parent is None
    attributes = dict(span.attributes or {})
    assert attributes["shop.order.id"] == str(order_id)
    assert 0 <= float(str(attributes["shop.event.age_seconds"])) < 60
    assert attributes["shop.outcome"] == "ok"


async def test_a_failed_sending_says_why(bench: Bench, not_sent: ConfirmationNotSent) -> None:
    """In its span, its log line and its outcome."""
    (order_id,) = await record(bench)
    bench.sender.failures[order_id] = not_sent
    await bench.parts.send()
    (span,) = sendings(bench)
    attributes = span.attributes or {}
    assert (attributes["error.type"], attributes["shop.outcome"]) == ("SMTPConnectError", "CONFIRMATION_NOT_SENT")
    lines = [json.loads(line) for line in bench.logs.getvalue().splitlines()]
    (line,) = [line for line in lines if line["event"] == "notification.confirmation_not_sent"]
    assert (line["order_id"], line["error_type"]) == (str(order_id), "SMTPConnectError")


async def test_the_metrics_count_waiting_and_sent_notifications(bench: Bench, not_sent: ConfirmationNotSent) -> None:
    """What failed waits."""
    broken, *_ = await record(bench, 3)
    bench.sender.failures[broken] = not_sent
    await bench.send()
    assert bench.value("shop_notifications_sent_total") == 2
    assert bench.value("shop_notifications_pending") == 1


async def test_no_span_and_no_log_line_knows_the_customer(bench: Bench, not_sent: ConfirmationNotSent) -> None:
    """Whether it works or fails."""
    broken, _ = await record(bench, 2)
    bench.sender.failures[broken] = not_sent
    await bench.send()
    seen = bench.logs.getvalue().decode() + "".join(span.to_json() for span in bench.spans.get_finished_spans())
    assert str(broken) in seen
    assert str(CUSTOMER_ID) not in seen


async def test_the_workers_do_it_all_by_themselves(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the log to the folder; the sender is woken rather than waiting for its time, here an hour."""
    monkeypatch.setattr("services.notification.workers.send_confirmations.POLL_SECONDS", 3600.0)
    for worker in bench.parts.workers:
        await worker.start()
    bench.log.redeliver(event())
    connection = await asyncpg.connect(bench.dsn)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await connection.fetchval("SELECT count(*) FROM notifications WHERE state = 'SENT'"):
                await asyncio.sleep(0.01)
    finally:
        await connection.close()
        for worker in bench.parts.workers:
            await worker.stop(grace_seconds=5)
    assert len(bench.files()) == 1

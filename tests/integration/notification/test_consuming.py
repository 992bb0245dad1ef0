"""Consuming of events: each completed order becomes one notification."""

from uuid import uuid4

import pytest
from google.type.money_pb2 import Money

from services.kernel.money import CURRENCIES
from tests.integration.notification.conftest import CUSTOMER_ID, TRACEPARENT, Bench, event

CHF_1 = Money(currency_code="CHF", units=1)
DUPLICATES = "shop_consumer_duplicates_total"


async def test_a_completed_order_is_recorded(bench: Bench) -> None:
    """With what the mail and its trace need."""
    message = event()
    bench.log.messages = [message]
    await bench.consume()
    (row,) = await bench.rows()
    assert (row["event_id"], row["order_id"], row["customer_id"]) == (
        message.event_id,
        message.aggregate_id,
        CUSTOMER_ID,
    )
    assert (row["currency_code"], row["total_minor"], row["line_count"]) == ("GBP", 750, 3)
    assert (row["occur_time"], row["traceparent"], row["state"]) == (message.occur_time, TRACEPARENT, "PENDING")


async def test_an_event_delivered_three_times_is_recorded_once(bench: Bench) -> None:
    """In one batch and in another; each repeat counts as a duplicate."""
    message = event()
    bench.log.redeliver(message, message)
    await bench.consume()
    bench.log.redeliver(message)
    await bench.consume()
    assert len(await bench.rows()) == 1
    assert bench.value(DUPLICATES, {"consumer": "notification"}) == 2


async def test_a_log_that_was_rebuilt_brings_nothing_new(bench: Bench) -> None:
    """Another incarnation is read from its beginning."""
    messages = [event(), event()]
    bench.log.messages = list(messages)
    await bench.consume()
    await bench.log.reset()
    bench.log.messages = [*messages, event()]
    await bench.consume()
    assert len(await bench.rows()) == 3
    assert bench.value(DUPLICATES, {"consumer": "notification"}) == 2


@pytest.mark.parametrize(
    "event_type", ["order.placed", "order.rejected", "order.cancellation_requested", "order.cancelled", "order.new"]
)
async def test_other_events_have_no_effect_and_are_no_duplicates(bench: Bench, event_type: str) -> None:
    """Nor does the consumer stop at them."""
    bench.log.messages = [event(event_type), event()]
    await bench.consume()
    assert len(await bench.rows()) == 1
    assert bench.value(DUPLICATES, {"consumer": "notification"}) == 0


async def test_a_poison_message_is_parked_with_its_successors_only(bench: Bench) -> None:
    """Other orders pass by."""
    order_id = uuid4()
    poison = event(order_id=order_id, total=CHF_1)
    successor = event("order.cancelled", order_id=order_id, version=3)
    other = event()
    bench.log.messages = [poison, successor, other]
    await bench.consume()
    parked = {letter.message.event_id: letter.reason for letter in await bench.dead_letters.list(10)}
    assert parked == {poison.event_id: "EVENT_NOT_UNDERSTOOD", successor.event_id: "BEHIND_ANOTHER"}
    assert [row["event_id"] for row in await bench.rows()] == [other.event_id]


@pytest.mark.parametrize("data", [b"", b"\xff\xff"], ids=["empty", "no_protobuf"])
async def test_a_payload_that_is_no_event_is_parked(bench: Bench, data: bytes) -> None:
    """Whatever it is."""
    message = event()
    bench.log.messages = [
        type(message)(**{name: getattr(message, name) for name in message.__slots__} | {"data": data})
    ]
    await bench.consume()
    assert (await bench.dead_letters.count(), len(await bench.rows())) == (1, 0)


async def test_a_replay_records_events_that_are_understood_now(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a release that knows the currency is out."""
    poison = event(total=CHF_1)
    bench.log.messages = [poison, event("order.cancelled", order_id=poison.aggregate_id, version=3)]
    await bench.consume()
    monkeypatch.setattr("services.infra.rpc.money.CURRENCIES", CURRENCIES | {"CHF"})
    outcome = await bench.dead_letters.replay(bench.parts.handle)
    assert (outcome.replayed, outcome.still_parked, outcome.failures) == (2, 0, ())
    assert [row["event_id"] for row in await bench.rows()] == [poison.event_id]
    assert await bench.dead_letters.count() == 0

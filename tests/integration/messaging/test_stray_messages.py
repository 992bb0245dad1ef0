"""Stray messages on the subject do not disturb the relay, the consumers or the end of the log."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from observability.telemetry import setup
from observability.telemetry.messaging import ConsumerTelemetry
from services.infra.messaging import nats_log
from services.infra.messaging.consumer import Consumer
from services.infra.messaging.log import Fenced
from services.infra.messaging.message import ReceivedMessage
from services.infra.messaging.nats_headers import MALFORMED, MOST_DATA_BYTES, envelope
from services.infra.messaging.nats_log import MOST_PAGES, NatsLog
from services.infra.messaging.postgres_log import PostgresLog
from services.local.servers.nats import EmbeddedNats
from tests.full import in_full
from tests.integration.messaging.conftest import OpenDatabases, everything, message, two_logs
from tests.integration.messaging.consuming import NAME, Bench
from tests.integration.messaging.relaying import Store, run
from tests.patience import PATIENCE_SECONDS

SUBJECT = b"shop.events.order.placed"


def published(data: bytes = b"stray", *, headers: bytes | None = None, subject: bytes = SUBJECT) -> bytes:
    """Return the bytes that publish a message in NATS' protocol; a client would reject it."""
    if headers is None:
        return b"PUB %s %d\r\n%s\r\n" % (subject, len(data), data)
    return b"HPUB %s %d %d\r\n%s%s\r\n" % (subject, len(headers), len(headers) + len(data), headers, data)


def headed(more: Mapping[str, str] | None = None) -> bytes:
    """Return the headers of an event, some of them changed."""
    fields = {**envelope(message(), 1), **(more or {})}
    return ("NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode()


STRAYS: Mapping[str, bytes] = {
    "no headers": published(),
    "nothing at all": published(b""),
    "JSON": published(b'{"order": 1}'),
    "more data than an event has": published(bytes(MOST_DATA_BYTES + 1), headers=headed()),
    "headers of another make": published(headers=b"NATS/1.0\r\nX: y\r\n\r\n"),
    "a megabyte of headers": published(headers=b"NATS/1.0\r\nX: " + b"y" * 60_000 + b"\r\n\r\n"),
    "headers that are none": published(headers=b"x"),
    "headers that end at once": published(headers=b"NATS/1.0"),
    "a status": published(headers=b"NATS/1.0 503\r\n\r\n"),
    "a status that is none": published(headers=b"NATS/1.0 \xff\xfe3\r\n\r\n"),
    "a status among the headers": published(headers=b"NATS/1.0\r\nStatus: 408\r\n\r\n"),
    "bytes that are no text": published(headers=b"NATS/1.0\r\nX: \xff\r\n\r\n"),
    "a subject that is no text": published(subject=b"shop.events.\xff\xfe"),
    "a long subject": published(subject=b"shop.events." + b"y" * 3_900),
    "an id that is none": published(headers=headed({"Nats-Msg-Id": "4711"})),
    "an order that is none": published(headers=headed({"Shop-Aggregate-Id": "4711"})),
    "a version that is none": published(headers=headed({"Shop-Aggregate-Version": "first"})),
    "a version without an end": published(headers=headed({"Shop-Aggregate-Version": "9" * 30})),
    "a negative version": published(headers=headed({"Shop-Aggregate-Version": "-1"})),
    "a time without a zone": published(headers=headed({"Shop-Occur-Time": "2026-01-01T00:00:00"})),
    "a time before all": published(headers=headed({"Shop-Occur-Time": "0001-01-01T00:00:00+14:00"})),
    "a type that is no text": published(headers=headed({"Shop-Event-Type": "a\x00b"})),
    "a long trace": published(headers=headed({"traceparent": "0" * 1_000})),
}
# What is an event but for its relay: it is delivered as one, and says nothing of the log's end.
ODD_EPOCHS: Mapping[str, bytes] = {
    "an epoch that is none": published(headers=headed({"Shop-Relay-Epoch": "last"})),
    "an epoch without an end": published(headers=headed({"Shop-Relay-Epoch": "9" * 30})),
}


@pytest.fixture(params=["nats_server", *in_full("newer_nats_server")])
def server(request: pytest.FixtureRequest) -> EmbeddedNats:
    """Each release that is supported."""
    found: EmbeddedNats = request.getfixturevalue(request.param)
    return found


async def publish(server: EmbeddedNats, *strays: bytes) -> None:
    """Send the words as they are, and wait until the server has taken them."""
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        login = f'{{"user":"{address.username}","pass":"{address.password}","headers":true,"verbose":false}}'
        writer.write(b"CONNECT " + login.encode() + b"\r\n" + b"".join(strays) + b"PING\r\n")
        await writer.drain()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await reader.readline()).startswith(b"INFO")
            while (line := await reader.readline()) != b"PONG\r\n":
                assert line.startswith(b"PING"), line
    finally:
        writer.close()


async def settled(log: NatsLog, count: int) -> None:
    """Wait until the log has this many messages: JetStream stores unconfirmed messages a little later."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await log.state()).count < count:
            await asyncio.sleep(0.02)


def events_and_faults(deliveries: list[ReceivedMessage]) -> list[object]:
    """Return the result of a read: an event's id, or a fault."""
    return [delivery.fault or delivery.message.event_id for delivery in deliveries]


@pytest.mark.parametrize("kind", STRAYS)
async def test_a_stray_message_is_delivered_as_such_between_the_events(server: EmbeddedNats, kind: str) -> None:
    """To a reader that goes on; both the relay that was there and the next one append after it."""
    async with two_logs(server) as (log, next_log):
        events = [message() for _ in range(3)]
        incarnation = (await log.state()).incarnation
        await log.append(events[:1], epoch=1, incarnation=incarnation)
        await publish(server, STRAYS[kind])
        await settled(log, 2)
        await log.append(events[1:2], epoch=1, incarnation=incarnation)
        await next_log.append(events[1:], epoch=2, incarnation=incarnation)
        expected = [events[0].event_id, MALFORMED, events[1].event_id, events[2].event_id]
        assert events_and_faults(await everything(log)) == expected


@pytest.mark.parametrize("kind", ODD_EPOCHS)
async def test_an_epoch_that_no_relay_has_does_not_fence(server: EmbeddedNats, kind: str) -> None:
    async with two_logs(server) as (log, _):
        incarnation = (await log.state()).incarnation
        await publish(server, ODD_EPOCHS[kind])
        await settled(log, 1)
        assert (await log.append([message()], epoch=1, incarnation=incarnation)).count == 2


async def test_strays_do_not_hide_the_last_relay(server: EmbeddedNats) -> None:
    """One that lost its lease is refused, however many came behind its successor's last event."""
    async with two_logs(server) as (log, stale):
        incarnation = (await log.state()).incarnation
        await stale.append([message()], epoch=1, incarnation=incarnation)
        await log.append([message()], epoch=2, incarnation=incarnation)
        await publish(server, *[published()] * 2_500)
        await settled(log, 2_502)
        with pytest.raises(Fenced):
            await stale.append([message()], epoch=1, incarnation=incarnation)


async def test_a_log_full_of_strays_takes_events(server: EmbeddedNats) -> None:
    """The search for the last event ends."""
    async with two_logs(server) as (log, _):
        count = MOST_PAGES * 1_000 + 500
        await publish(server, *[published()] * count)
        await settled(log, count)
        state = await log.append([message()], epoch=1, incarnation=(await log.state()).incarnation)
        assert state.count == count + 1


async def test_a_huge_message_is_refused_by_the_stream(server: EmbeddedNats) -> None:
    async with two_logs(server) as (log, _):
        await publish(server, published(bytes(1_000_000)), published(b"small"))
        await settled(log, 1)
        assert [delivery.message.data for delivery in await everything(log)] == [b"small"]


async def test_huge_strays_are_read_a_few_at_a_time(server: EmbeddedNats, monkeypatch: pytest.MonkeyPatch) -> None:
    """No read takes more memory than its bound, and each gets on."""
    async with two_logs(server) as (log, _):
        with monkeypatch.context() as patch:
            patch.setattr(nats_log, "MESSAGE_BYTES", -1)
            await log.reset()
            await publish(server, *[published(bytes(1_000_000))] * 40)
            await settled(log, 40)
        first = await log.read(after=0, limit=200, wait_seconds=0)
        assert 1 <= len(first.deliveries) <= 10
        assert events_and_faults(await everything(log)) == [MALFORMED] * 40


async def test_a_reader_waits_behind_a_deleted_last_message(server: EmbeddedNats) -> None:
    """A reader does not ask without pause, and gets what comes next."""
    async with two_logs(server) as (log, _):
        first, second = message(), message()
        incarnation = (await log.state()).incarnation
        await log.append([first], epoch=1, incarnation=incarnation)
        await publish(server, published())
        await settled(log, 2)
        await log._stream.delete_msg("SHOP_EVENTS", 2)
        reading = asyncio.create_task(log.read(after=1, limit=10, wait_seconds=30))
        assert await asyncio.wait({reading}, timeout=0.3) == (set(), {reading})
        await log.append([second], epoch=1, incarnation=incarnation)
        assert events_and_faults(list((await reading).deliveries)) == [second.event_id]


async def test_a_consumer_parks_every_stray_and_takes_every_event(
    server: EmbeddedNats, bench: Bench, runtime: setup.Runtime
) -> None:
    """At once, each with its reason and counted; none holds up an order."""
    async with two_logs(server) as (log, _):
        events = [message() for _ in range(3)]
        incarnation = (await log.state()).incarnation
        await log.append(events[:1], epoch=1, incarnation=incarnation)
        await publish(server, *STRAYS.values())
        await settled(log, 1 + len(STRAYS))
        await log.append(events[1:], epoch=1, incarnation=incarnation)
        telemetry = ConsumerTelemetry(runtime.for_context("test"), consumer=NAME, destination="test")
        consumer = Consumer(NAME, database=bench.database, log=log, handle=bench.handle, telemetry=telemetry)
        while await bench.position() != (incarnation, len(STRAYS) + 3):
            await consumer.step()
        assert await bench.effects() == [event.event_id for event in events]
        assert list((await bench.parked()).values()) == [MALFORMED] * len(STRAYS)
        assert bench.value("shop_dead_letters_total") == len(STRAYS)


async def test_a_relay_continues_after_a_stray_and_detects_a_loss(server: EmbeddedNats, store: Store) -> None:
    """A message that takes the place of a lost event does not make up for it."""
    async with two_logs(server) as (log, _):
        relay = store.relay(log, lease_seconds=0.0)
        await store.store(2)
        await run(relay)
        await publish(server, published())
        await settled(log, 3)
        ids = await store.store(2)
        await run(relay)
        assert (await store.waiting(), (await store.row()).published_count) == (0, 5)
        await log._stream.delete_msg("SHOP_EVENTS", 5)
        await run(store.relay(log))
        held = [delivery.message.event_id for delivery in await everything(log)]
        assert (len(held), held[2:]) == (4, ids)


async def test_a_row_written_by_hand_is_read_and_followed(
    database_of: OpenDatabases, bench: Bench, runtime: setup.Runtime
) -> None:
    """Beyond the head that the relays keep, with a gap: nothing begins anew, and what cannot be taken is parked."""
    database = await database_of("event_log")
    log = PostgresLog(database=database)
    first, second = message(), message()
    incarnation = (await log.state()).incarnation
    await log.append([first], epoch=1, incarnation=incarnation)
    by_hand = uuid4()
    async with database.transaction("test") as transaction:
        insert = """
            INSERT INTO event_log (position, event_id, type, aggregate_id, aggregate_version, occur_time, traceparent,
                data)
            VALUES (7, $1, 'anything', gen_random_uuid(), 1, 'now', '', '{}')"""
        await transaction.execute("INSERT", insert, by_hand)
    bench.failures[by_hand] = ValueError()
    telemetry = ConsumerTelemetry(runtime.for_context("test"), consumer=NAME, destination="test")
    consumer = Consumer(NAME, database=bench.database, log=log, handle=bench.handle, telemetry=telemetry)
    while await bench.position() != (incarnation, 7):
        await bench.try_step(consumer)
    state = await log.append([second], epoch=1, incarnation=incarnation)
    while await bench.position() != (incarnation, 8):
        await bench.try_step(consumer)
    assert state.head == 8
    assert await bench.effects() == [first.event_id, second.event_id]
    assert await bench.parked() == {by_hand: "ValueError"}
    assert bench.value("shop_consumer_rewinds_total") == 1


@pytest.mark.parametrize(
    "column",
    [
        "position = 0",
        "position = 9223372036854775807",
        "aggregate_version = 0",
        "occur_time = '0044-03-15 BC'",
        "occur_time = 'infinity'",
        "type = repeat('x', 129)",
        "traceparent = repeat('x', 129)",
        "data = convert_to(repeat('x', 65537), 'UTF8')",
    ],
)
async def test_a_row_that_no_reader_could_take_is_refused(database_of: OpenDatabases, column: str) -> None:
    """The database rejects it from any writer."""
    database = await database_of("event_log")
    log = PostgresLog(database=database)
    await log.append([message()], epoch=1, incarnation=(await log.state()).incarnation)
    with pytest.raises(Exception, match="violates check constraint"):
        async with database.transaction("test") as transaction:
            await transaction.execute("UPDATE", f"UPDATE event_log SET {column}")

"""Event log in NATS JetStream: one stream, in which each event names its predecessor.

Fencing: JetStream rejects an event whose Nats-Expected-Last-Sequence or -Msg-Id is not the last of the stream, so no
event can come between an append and the end that its relay knows. A relay that is rejected reads the end of the log
again, where each event has the epoch of its relay. The check also keeps the order within a batch that is sent without
waiting: an event whose predecessor was rejected is rejected too. The guarantees of JetStream are described in
docs/decisions/0011-nats-jetstream-as-a-log.md.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from time import monotonic
from typing import Self
from urllib.parse import urlsplit
from uuid import UUID

import nats.errors
from nats.aio.client import Client, ServerVersion
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, Header, PubAck, StorageType, StreamConfig
from nats.js.errors import APIError, NotFoundError

from services.infra import deadline
from services.infra.crash_points import crash_points
from services.infra.messaging.log import Fenced, Replaced
from services.infra.messaging.message import Batch, LogState, Message, without_repeats
from services.infra.messaging.nats_headers import delivery_of, envelope, identity_of
from services.infra.postgres_errors import RETRY_AFTER_SECONDS
from services.infra.settings import BadSettings
from services.kernel.errors import Unavailable

STREAM = "SHOP_EVENTS"
# The server detects duplicate event ids for this long; older duplicates are found among the last TAIL events.
DUPLICATE_WINDOW_SECONDS = 600.0
TAIL = 1000
# Pages of TAIL messages in which the last event is searched, when stray messages follow it.
MOST_PAGES = 10
# Largest message of the stream; an event has a few hundred bytes.
MESSAGE_BYTES = 128 * 1024
# Most bytes of a read, or two messages of the server's largest size if that is more.
READ_BYTES = 8 * 1024 * 1024

CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 1
PING_SECONDS = 5
REQUEST_SECONDS = 2
OPERATION_SECONDS = 5.0
CLOSE_SECONDS = 1.0
POLL_SECONDS = 0.1
# A reader deletes its consumer; the server removes that of a dead reader after this long.
CONSUMER_SECONDS = 5.0

NEXT = "$JS.API.CONSUMER.MSG.NEXT"
EXPECTED_LAST_MSG_ID = "Nats-Expected-Last-Msg-Id"
WRONG_LAST_MSG_ID = 10070
WRONG_LAST_SEQUENCE = 10071


def can_sync_always(version: ServerVersion) -> bool:
    """Return whether servers of this version have the setting `sync_interval: always`, which clients cannot read."""
    return (version.major, version.minor) >= (2, 10)


def subjects_of(stream: str) -> str:
    """Return the prefix of a stream's subjects. NATS rejects a stream whose subjects overlap those of another."""
    return f"{stream.lower().replace('_', '.', 1)}."


class UnsafeSync(BadSettings):
    """The server may acknowledge events before they are on disk, and allow_unsafe_sync is not set."""

    def __init__(self, version: ServerVersion) -> None:
        remedy = (
            "Set `sync_interval: always` in its jetstream block and, since clients cannot read it, confirm it with "
            "allow_unsafe_sync"
            if can_sync_always(version)
            else "This version cannot change that: use nats-server 2.10 or newer, or PostgreSQL, or accept the loss "
            "with allow_unsafe_sync"
        )
        super().__init__(
            f"nats-server {version.major}.{version.minor}.{version.patch} acknowledges events before they are on its "
            "disk by default: a power cut or a crash of the machine, but not of the server alone, may lose the last "
            f"two minutes. {remedy}."
        )


@dataclass(frozen=True, slots=True)
class _Tip:
    """The end of the log as one relay knows it.

    epoch: epoch of the relay
    incarnation: incarnation of the log
    position: sequence of the last message
    event_id: event of the last message, if this relay appended it
    tail: ids of the last events, at most TAIL, to detect duplicates
    """

    epoch: int
    incarnation: str
    position: int
    event_id: UUID | None = None
    tail: tuple[str, ...] = ()

    def after(self, answer: PubAck, message: Message) -> "_Tip":
        """Return the end after a message was appended; the tail detects duplicates that the server no longer does."""
        tail = (*self.tail, str(message.event_id))[-TAIL:]
        return replace(self, position=answer.seq, event_id=message.event_id, tail=tail)


class _Client(Client):
    """Client of nats-py 2.16, which stops reading for ever after a message whose subject or headers it cannot parse.

    Here such a message is delivered without them.
    """

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        try:
            await super()._process_msg(sid, subject, reply, data, headers)
        except (IndexError, UnicodeError):
            await super()._process_msg(sid, b"unreadable", reply, data, b"")


class NatsLog:
    """Implements `log.EventLog` on a stream of its own.

    Other clients may be able to publish on the subject. A message that is no event of a relay is delivered with a
    fault, and the end of the log is determined from events alone.
    """

    def __init__(self, connection: Client, stream: str = STREAM) -> None:
        self._connection = connection
        self._name = stream
        self._subjects = subjects_of(stream)
        self._stream = connection.jetstream(timeout=REQUEST_SECONDS)
        self._tip: _Tip | None = None
        self._appending = asyncio.Lock()

    @classmethod
    async def open(cls, url: str, *, allow_unsafe_sync: bool = False) -> Self:
        """Connect once, so that a wrong address fails here. Raises Unavailable, and UnsafeSync unless it is allowed.

        The path of the URL is the name of the stream; SHOP_EVENTS without one.
        """
        connection = _Client()
        stream = urlsplit(url).path.strip("/") or STREAM
        try:
            async with _bounded(CONNECT_SECONDS):
                await connection.connect(
                    url,
                    error_cb=_ignore_error,
                    connect_timeout=REQUEST_SECONDS,
                    reconnect_time_wait=RECONNECT_SECONDS,
                    max_reconnect_attempts=-1,
                    ping_interval=PING_SECONDS,
                    pending_size=0,  # without a connection a call fails at once, and is not sent later
                )
        except BaseException:
            await connection.close()
            raise
        if not allow_unsafe_sync:
            version = connection.connected_server_version
            await connection.close()
            raise UnsafeSync(version)
        return cls(connection, stream)

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str, count: int = 0) -> LogState:
        """Append new messages without waiting between them; after a rejection read the log's end and send the rest."""
        async with _bounded(OPERATION_SECONDS), self._appending:
            pending = without_repeats(messages)
            while True:
                # The server compares a known end with its own.
                tip = self._tip if self._tip and self._tip.epoch == epoch else await self._read_tip(epoch, count)
                if tip.incarnation != incarnation:
                    self._tip = None
                    raise Replaced
                known = frozenset(tip.tail)
                pending = [message for message in pending if str(message.event_id) not in known]
                self._tip = None  # after a cancellation here the end is unknown
                appended, self._tip = await self._publish(pending, tip)
                pending = pending[appended:]
                if not pending:
                    break
                if not appended:
                    self._tip = None
            state = await self._state()
            if state.incarnation != incarnation:
                self._tip = None
                raise Replaced
        crash_points.reached("event_log.appended")
        return state

    async def read(self, *, after: int, limit: int, wait_seconds: float) -> Batch:
        """Return what comes after a position; poll while there is nothing."""
        ends = monotonic() + wait_seconds
        async with _bounded(wait_seconds + OPERATION_SECONDS):
            state = await self._state()
            # The message at the head may have been deleted by hand.
            while not (messages := await self._fetch(after, limit) if state.head > after else []):
                if monotonic() >= ends:
                    return Batch(state, ())
                await asyncio.sleep(POLL_SECONDS)
                state = await self._state()
            # Read last: the state may be ahead of the deliveries, never behind them. If the log was replaced meanwhile,
            # its incarnation shows it.
            state = await self._state()
            deliveries = tuple(delivery_of(message, incarnation=state.incarnation) for message in messages)
            return Batch(state, deliveries)

    async def state(self) -> LogState:
        """Return the state of the stream; create it if it is missing."""
        async with _bounded(OPERATION_SECONDS):
            return await self._state()

    async def reset(self, *, epoch: int | None = None) -> None:
        """Delete the stream and create a new one."""
        async with _bounded(OPERATION_SECONDS), self._appending:
            self._tip = None
            if epoch is None:
                await self._state()
            else:
                await self._read_tip(epoch)
            await self._stream.delete_stream(self._name)
            await self._state()

    async def close(self) -> None:
        """Close the connection."""
        async with _bounded(CLOSE_SECONDS):
            await self._connection.close()

    async def _state(self) -> LogState:
        try:
            found = await self._stream.stream_info(self._name)
        except NotFoundError:
            found = await self._stream.add_stream(
                StreamConfig(
                    name=self._name,
                    subjects=[f"{self._subjects}>"],
                    storage=StorageType.FILE,
                    duplicate_window=DUPLICATE_WINDOW_SECONDS,
                    max_msg_size=MESSAGE_BYTES,
                )
            )
        if found.config.max_msg_size != MESSAGE_BYTES:  # a stream that was created before there was a limit
            found = await self._stream.update_stream(found.config, max_msg_size=MESSAGE_BYTES)
        return LogState(f"{found.created}", found.state.last_seq, found.state.messages)

    async def _read_tip(self, epoch: int, count: int = 0) -> _Tip:
        """Return the end of the log. Raises Fenced if a relay with a higher epoch has appended it.

        Raises Replaced if the log has fewer than `count` messages.
        """
        state = await self._state()
        if state.count < count:
            raise Replaced
        tail: list[tuple[str, int]] = []
        begin, pages = state.head, 0
        while begin > 0 and not tail and pages < MOST_PAGES:
            begin, pages = max(0, begin - TAIL), pages + 1
            tail = await self._events_after(begin)
        if tail and tail[-1][1] > epoch:
            raise Fenced(tail[-1][1])
        return _Tip(epoch, state.incarnation, state.head, tail=tuple(event_id for event_id, _ in tail))

    async def _events_after(self, begin: int) -> list[tuple[str, int]]:
        """Return id and epoch of each event among the TAIL messages after a position."""
        found: list[tuple[str, int]] = []
        after = begin
        while messages := await self._fetch(after, begin + TAIL - after):
            found += [identity for message in messages if (identity := identity_of(message))]
            after = messages[-1].metadata.sequence.stream
        return found

    async def _publish(self, messages: Sequence[Message], tip: _Tip) -> tuple[int, _Tip]:
        """Send the messages; return how many of them, counted from the first, were appended, and the new end."""
        answers = await self._send(messages, tip)
        for index, (message, answer) in enumerate(zip(messages, answers, strict=True)):
            if isinstance(answer, BaseException):
                if isinstance(answer, APIError) and answer.err_code in {WRONG_LAST_MSG_ID, WRONG_LAST_SEQUENCE}:
                    return index, tip
                raise answer
            if not answer.duplicate:
                tip = tip.after(answer, message)
        return len(messages), tip

    async def _send(self, messages: Sequence[Message], tip: _Tip) -> list[PubAck | BaseException]:
        # Not the client's publish_async: it raises where it should return the rejection of an event.
        sendings: list[Coroutine[None, None, PubAck]] = []
        before = tip.event_id
        for position, message in enumerate(messages, tip.position):
            headers = envelope(message, tip.epoch) | {Header.EXPECTED_LAST_SEQUENCE.value: str(position)}
            if before is not None:
                headers[EXPECTED_LAST_MSG_ID] = str(before)
            before = message.event_id
            sendings.append(self._stream.publish(self._subjects + message.type, message.data, headers=headers))
        return await asyncio.gather(*sendings, return_exceptions=True)

    async def _fetch(self, after: int, limit: int) -> list[Msg]:
        """Return messages after a position, up to READ_BYTES; an empty list only if there are none.

        The JetStream consumer lives for one read, so it has no state to lose. It reads whole messages: a consumer of
        headers only crashes nats-server 2.9 and 2.15 by a panic at headers of less than 10 bytes.
        """
        if limit <= 0:
            return []
        consumer = await self._stream.add_consumer(
            self._name,
            ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=after + 1,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=CONSUMER_SECONDS,
                mem_storage=True,
            ),
        )
        wanted = min(limit, consumer.num_pending or 0)
        messages = await self._pull(consumer.name, wanted) if wanted else []
        await self._stream.delete_consumer(self._name, consumer.name)
        # Messages may be missing if the connection was lost in between.
        complete = [message.metadata.sequence.consumer for message in messages] == list(range(1, len(messages) + 1))
        if not complete or (wanted and not messages):
            raise nats.errors.TimeoutError
        return messages

    async def _pull(self, consumer: str, wanted: int) -> list[Msg]:
        """Return the messages of one pull request.

        Not with the client's own fetch, which takes any message with a `Status` header for a status of the server. A
        message of the stream has a reply subject for its acknowledgement; a status message has none.
        """
        inbox = self._connection.new_inbox()
        # The request limits the bytes; a limit of the subscription would drop messages.
        subscription = await self._connection.subscribe(inbox, pending_bytes_limit=0)
        most_bytes = max(READ_BYTES, 2 * self._connection.max_payload)
        request = json.dumps({"batch": wanted, "no_wait": True, "max_bytes": most_bytes}).encode()
        messages: list[Msg] = []
        try:
            await self._connection.publish(f"{NEXT}.{self._name}.{consumer}", request, reply=inbox)
            while len(messages) < wanted:
                message = await subscription.next_msg(timeout=REQUEST_SECONDS)
                if not message.reply:
                    break
                messages.append(message)
        finally:
            await subscription.unsubscribe()
        return messages


@asynccontextmanager
async def _bounded(seconds: float) -> AsyncIterator[None]:
    """Limit the time of a with block, also by the deadline; raise Unavailable for errors of the client."""
    try:
        async with asyncio.timeout(min(seconds, deadline.remaining_seconds())):
            yield
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unavailable(RETRY_AFTER_SECONDS) from error


async def _ignore_error(_error: Exception) -> None:
    """Ignore a connection error: the call that needs the connection raises Unavailable, and its caller records it."""

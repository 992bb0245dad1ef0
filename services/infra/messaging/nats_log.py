"""A log of events in NATS JetStream: one stream; each event says which one it comes after.

Fencing: JetStream refuses an event whose Nats-Expected-Last-Sequence or -Msg-Id is not the stream's last, so nothing
comes between an append and what it knows. Whoever is refused looks at the log's end again, where each event has the
epoch of its relay. The refusal also keeps order within a batch that is sent in one go: an event whose predecessor was
refused is refused too. What JetStream promises, and what not: docs/decisions/0011-nats-jetstream-as-a-log.md.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from time import monotonic
from typing import Self
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
SUBJECTS = "shop.events."
# The server remembers event ids for this long; repeats of older ones are found among the last TAIL events.
DUPLICATE_WINDOW_SECONDS = 600.0
TAIL = 1000
# Behind that many messages of another make the last event is not looked for.
MOST_PAGES = 10
# The stream refuses a larger message; an event has a few hundred bytes.
MESSAGE_BYTES = 128 * 1024
# A read takes no more than this, or two messages of the largest size that the server allows.
READ_BYTES = 8 * 1024 * 1024

CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 1
PING_SECONDS = 5
REQUEST_SECONDS = 2
OPERATION_SECONDS = 5.0
CLOSE_SECONDS = 1.0
POLL_SECONDS = 0.1
# A reader deletes its consumer; one that died is forgotten by the server after this long.
CONSUMER_SECONDS = 5.0

NEXT = "$JS.API.CONSUMER.MSG.NEXT"
EXPECTED_LAST_MSG_ID = "Nats-Expected-Last-Msg-Id"
WRONG_LAST_MSG_ID = 10070
WRONG_LAST_SEQUENCE = 10071


def can_sync_always(version: ServerVersion) -> bool:
    """Say whether a server of this version has the setting `sync_interval: always`; none tells its clients of it."""
    return (version.major, version.minor) >= (2, 10)


class UnsafeSync(BadSettings):
    """The server may acknowledge events that are not on its disk yet, and nobody has said that this is fine."""

    def __init__(self, version: ServerVersion) -> None:
        remedy = (
            "Set `sync_interval: always` in its jetstream block and, since it does not tell its clients, say that you "
            "did with allow_unsafe_sync"
            if can_sync_always(version)
            else "It has no setting to change that: use nats-server 2.10 or newer, or PostgreSQL, or accept the loss "
            "with allow_unsafe_sync"
        )
        super().__init__(
            f"nats-server {version.major}.{version.minor}.{version.patch} acknowledges events before they are on its "
            "disk, unless told otherwise: a power cut or a crash of the machine, though no kill of the server, may "
            f"lose the last two minutes. {remedy}."
        )


@dataclass(frozen=True, slots=True)
class _Tip:
    """The log's end as one relay knows it: where it is, whose event is there, and which events came before."""

    epoch: int
    incarnation: str
    position: int
    event_id: UUID | None = None
    tail: tuple[str, ...] = ()

    def after(self, answer: PubAck, message: Message) -> "_Tip":
        """Return the end once a message is there; the server may have forgotten its id before it is repeated."""
        tail = (*self.tail, str(message.event_id))[-TAIL:]
        return replace(self, position=answer.seq, event_id=message.event_id, tail=tail)


class _Client(Client):
    """The client of nats-py 2.16, which stops reading for good at a message whose subject or headers it cannot parse.

    Such a message comes without them here.
    """

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        try:
            await super()._process_msg(sid, subject, reply, data, headers)
        except (IndexError, UnicodeError):
            await super()._process_msg(sid, b"unreadable", reply, data, b"")


class NatsLog:
    """Satisfies `log.EventLog`, on a stream of its own.

    The subject is open to all who may publish there. Whatever comes that is no event of a relay is delivered as such,
    and what the log knows of its end is read from the events alone.
    """

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._stream = connection.jetstream(timeout=REQUEST_SECONDS)
        self._tip: _Tip | None = None
        self._appending = asyncio.Lock()

    @classmethod
    async def open(cls, url: str, *, allow_unsafe_sync: bool = False) -> Self:
        """Connect once, so that a wrong address fails here. Raises Unavailable, UnsafeSync unless that is allowed."""
        connection = _Client()
        try:
            async with _bounded(CONNECT_SECONDS):
                await connection.connect(
                    url,
                    error_cb=_kept_by_the_client,
                    connect_timeout=REQUEST_SECONDS,
                    reconnect_time_wait=RECONNECT_SECONDS,
                    max_reconnect_attempts=-1,
                    ping_interval=PING_SECONDS,
                    pending_size=0,  # Without a connection a call fails at once, and nothing of it is sent later.
                )
        except BaseException:
            await connection.close()
            raise
        if not allow_unsafe_sync:
            version = connection.connected_server_version
            await connection.close()
            raise UnsafeSync(version)
        return cls(connection)

    async def append(self, messages: Sequence[Message], *, epoch: int, incarnation: str) -> LogState:
        """Append what is new, all in one go; after a refusal what is left, with the log's end looked at again."""
        async with _bounded(OPERATION_SECONDS), self._appending:
            left = without_repeats(messages)
            while True:
                tip = self._tip if self._tip and self._tip.epoch == epoch else await self._look(epoch)
                if tip.incarnation != incarnation:
                    self._tip = None
                    raise Replaced
                known = frozenset(tip.tail)
                left = [message for message in left if str(message.event_id) not in known]
                self._tip = None  # whoever is cut off here does not know the end
                kept, self._tip = await self._publish(left, tip)
                left = left[kept:]
                if not left:
                    break
                if not kept:
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
            # A head without a message is one that was deleted by hand.
            while not (messages := await self._fetch(after, limit) if state.head > after else []):
                if monotonic() >= ends:
                    return Batch(state, ())
                await asyncio.sleep(POLL_SECONDS)
                state = await self._state()
            # Read last: ahead of the deliveries, never behind them, and of another incarnation if they might be.
            state = await self._state()
            deliveries = tuple(delivery_of(message, incarnation=state.incarnation) for message in messages)
            return Batch(state, deliveries)

    async def state(self) -> LogState:
        """Return the stream's state; one that is missing is created."""
        async with _bounded(OPERATION_SECONDS):
            return await self._state()

    async def reset(self, *, epoch: int | None = None) -> None:
        """Delete the stream and create another."""
        async with _bounded(OPERATION_SECONDS), self._appending:
            self._tip = None
            if epoch is None:
                await self._state()
            else:
                await self._look(epoch)
            await self._stream.delete_stream(STREAM)
            await self._state()

    async def close(self) -> None:
        """Close the connection."""
        async with _bounded(CLOSE_SECONDS):
            await self._connection.close()

    async def _state(self) -> LogState:
        try:
            found = await self._stream.stream_info(STREAM)
        except NotFoundError:
            found = await self._stream.add_stream(
                StreamConfig(
                    name=STREAM,
                    subjects=[f"{SUBJECTS}>"],
                    storage=StorageType.FILE,
                    duplicate_window=DUPLICATE_WINDOW_SECONDS,
                    max_msg_size=MESSAGE_BYTES,
                )
            )
        if found.config.max_msg_size != MESSAGE_BYTES:  # a stream from before there was a limit
            found = await self._stream.update_stream(found.config, max_msg_size=MESSAGE_BYTES)
        return LogState(f"{found.created}", found.state.last_seq, found.state.messages)

    async def _look(self, epoch: int) -> _Tip:
        """Return the log's end. Raises Fenced when a relay of a higher epoch put it there."""
        state = await self._state()
        tail: list[tuple[str, int]] = []
        begin, pages = state.head, 0
        while begin > 0 and not tail and pages < MOST_PAGES:
            begin, pages = max(0, begin - TAIL), pages + 1
            tail = await self._events_after(begin)
        if tail and tail[-1][1] > epoch:
            raise Fenced(tail[-1][1])
        return _Tip(epoch, state.incarnation, state.head, tail=tuple(event_id for event_id, _ in tail))

    async def _events_after(self, begin: int) -> list[tuple[str, int]]:
        """Return the id and the epoch of each event among the TAIL messages after a position."""
        found: list[tuple[str, int]] = []
        after = begin
        while messages := await self._fetch(after, begin + TAIL - after):
            found += [identity for message in messages if (identity := identity_of(message))]
            after = messages[-1].metadata.sequence.stream
        return found

    async def _publish(self, messages: Sequence[Message], tip: _Tip) -> tuple[int, _Tip]:
        """Send the messages in one go; return how many of them, from the first on, the log holds, and its new end."""
        answers = await self._send(messages, tip)
        for place, (message, answer) in enumerate(zip(messages, answers, strict=True)):
            if isinstance(answer, BaseException):
                if isinstance(answer, APIError) and answer.err_code in {WRONG_LAST_MSG_ID, WRONG_LAST_SEQUENCE}:
                    return place, tip
                raise answer
            if not answer.duplicate:
                tip = tip.after(answer, message)
        return len(messages), tip

    async def _send(self, messages: Sequence[Message], tip: _Tip) -> list[PubAck | BaseException]:
        # The client's publish_async would leave a refused event without an answer: it raises where it should tell.
        sendings: list[Coroutine[None, None, PubAck]] = []
        before = tip.event_id
        for position, message in enumerate(messages, tip.position):
            headers = envelope(message, tip.epoch) | {Header.EXPECTED_LAST_SEQUENCE.value: str(position)}
            if before is not None:
                headers[EXPECTED_LAST_MSG_ID] = str(before)
            before = message.event_id
            sendings.append(self._stream.publish(SUBJECTS + message.type, message.data, headers=headers))
        return await asyncio.gather(*sendings, return_exceptions=True)

    async def _fetch(self, after: int, limit: int) -> list[Msg]:
        """Return messages after a position, as many as READ_BYTES hold, none only where there are none.

        With a consumer that lives for one read and so has no state to lose. It asks for whole messages: one for headers
        alone ends nats-server 2.9 and 2.15 by a panic when it comes to headers of less than 10 bytes.
        """
        if limit <= 0:
            return []
        consumer = await self._stream.add_consumer(
            STREAM,
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
        await self._stream.delete_consumer(STREAM, consumer.name)
        # A connection that was lost in between may have taken some along.
        complete = [message.metadata.sequence.consumer for message in messages] == list(range(1, len(messages) + 1))
        if not complete or (wanted and not messages):
            raise nats.errors.TimeoutError
        return messages

    async def _pull(self, consumer: str, wanted: int) -> list[Msg]:
        """Return what one request brings. The client's own fetch takes a message that has a `Status` for the server's.

        A message of the stream has a reply subject, for its acknowledgement; a status message of the server has none.
        """
        inbox = self._connection.new_inbox()
        # The request bounds the bytes; the subscription's limit would drop messages.
        subscription = await self._connection.subscribe(inbox, pending_bytes_limit=0)
        most_bytes = max(READ_BYTES, 2 * self._connection.max_payload)
        request = json.dumps({"batch": wanted, "no_wait": True, "max_bytes": most_bytes}).encode()
        messages: list[Msg] = []
        try:
            await self._connection.publish(f"{NEXT}.{STREAM}.{consumer}", request, reply=inbox)
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
    """Give the block so much time, or what the deadline leaves; raise Unavailable for the client's errors."""
    try:
        async with asyncio.timeout(min(seconds, deadline.remaining_seconds())):
            yield
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unavailable(RETRY_AFTER_SECONDS) from error


async def _kept_by_the_client(_error: Exception) -> None:
    """Log nothing: the call that needs the connection raises Unavailable, and its caller records that."""

"""Consumer of the lists of orders: takes the snapshot of its order from each event."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from shop.order.v1 import order_service_pb2 as pb
from shop.order.v1.order_events_pb2 import OrderEvent

from services.infra.messaging.message import Message
from services.infra.postgres import Transaction
from services.infra.rpc.fields import time_from_proto
from services.infra.rpc.money import money_from_proto
from services.kernel.errors import InvalidField
from services.order.api import EventNotUnderstood, OrderSnapshot, OrderState

CONSUMER = "order_summaries"

Project: TypeAlias = Callable[[Transaction, Sequence[OrderSnapshot]], Awaitable[int]]


class OrderEvents:
    """Satisfies `messaging.consumer.Handle`; `project` stores snapshots and returns how many were newer."""

    def __init__(self, *, project: Project) -> None:
        self._project = project

    async def __call__(self, transaction: Transaction, messages: Sequence[Message]) -> int:
        """Apply the messages; return how many were new. Raises EventNotUnderstood."""
        return await self._project(transaction, [snapshot_of(message) for message in messages])


def snapshot_of(message: Message) -> OrderSnapshot:
    """Return the order right after an event of any type. Raises EventNotUnderstood."""
    try:
        event = OrderEvent.FromString(message.data)
        return OrderSnapshot(
            order_id=message.aggregate_id,
            customer_id=UUID(event.customer_id),
            version=_positive(message.aggregate_version),
            state=OrderState(pb.OrderState.Name(event.state).removeprefix("ORDER_STATE_")),
            line_count=_positive(event.line_count),
            total=money_from_proto("total", event.total) if event.HasField("total") else None,
            create_time=_time(event.create_time),
            update_time=message.occur_time,
        )
    except (DecodeError, ValueError, OverflowError, InvalidField) as error:
        raise EventNotUnderstood(message.event_id) from error


def _time(stamp: Timestamp) -> datetime:
    if not stamp.ByteSize():
        raise ValueError("the time is missing")
    return time_from_proto(stamp)


def _positive(number: int) -> int:
    if number < 1:
        raise ValueError("must be at least 1")
    return number

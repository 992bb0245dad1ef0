"""Consumer of the orders' events: records a confirmation for each completed order, and ignores other events."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from uuid import UUID

from google.protobuf.message import DecodeError
from shop.order.v1.order_events_pb2 import OrderEvent

from services.infra.messaging.message import Message
from services.infra.postgres import Transaction
from services.infra.rpc.money import money_from_proto
from services.kernel.errors import InvalidField
from services.notification.api import EventNotUnderstood, RecordConfirmation

DESTINATION = "shop.orders"
ORDER_COMPLETED = "order.completed"

Record: TypeAlias = Callable[[Transaction, Sequence[RecordConfirmation]], Awaitable[int]]


class OrderEvents:
    """Satisfies `messaging.consumer.Handle`; `record` stores commands and returns how many were new."""

    def __init__(self, *, record: Record) -> None:
        self._record = record

    async def __call__(self, transaction: Transaction, messages: Sequence[Message]) -> int:
        """Record the confirmations; return how many messages were no repeats. Raises EventNotUnderstood.

        Ignored messages count as new.
        """
        commands = [command_of(message) for message in messages if message.type == ORDER_COMPLETED]
        return len(messages) - len(commands) + await self._record(transaction, commands)


def command_of(message: Message) -> RecordConfirmation:
    """Return the confirmation to record for an event. Raises EventNotUnderstood."""
    try:
        event = OrderEvent.FromString(message.data)
        return RecordConfirmation(
            event_id=message.event_id,
            order_id=message.aggregate_id,
            customer_id=UUID(event.customer_id),
            total=money_from_proto("total", event.total) if event.HasField("total") else None,
            line_count=event.line_count,
            occur_time=message.occur_time,
            traceparent=message.traceparent,
        )
    except (DecodeError, ValueError, InvalidField) as error:
        raise EventNotUnderstood(message.event_id) from error

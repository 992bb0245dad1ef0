"""Conversion of rows of `events` into the published OrderEvent messages."""

from datetime import datetime
from typing import Any

import asyncpg
import orjson
from shop.order.v1 import order_service_pb2
from shop.order.v1.order_events_pb2 import OrderEvent

from services.infra.messaging.message import Message
from services.infra.rpc.fields import time_to_proto
from services.infra.rpc.money import money_to_proto
from services.kernel.money import Money

DESTINATION = "shop.orders"


def message_of(row: asyncpg.Record) -> Message:
    """Return the message of a stored event; the order's state after it comes from the row's `meta`."""
    meta: dict[str, Any] = orjson.loads(row["meta"])
    total = Money(meta["currency_code"], meta["total_minor"]) if "total_minor" in meta else None
    event = OrderEvent(
        event_id=str(row["event_id"]),
        type=row["type"],
        aggregate_id=str(row["stream_id"]),
        aggregate_version=row["version"],
        occur_time=time_to_proto(row["occur_time"]),
        traceparent=meta["traceparent"],
        customer_id=meta["customer_id"],
        state=order_service_pb2.OrderState.Value(f"ORDER_STATE_{meta['state']}"),
        line_count=meta["line_count"],
        total=money_to_proto(total) if total else None,
        create_time=time_to_proto(datetime.fromisoformat(meta["create_time"])),
    )
    return Message(
        event_id=row["event_id"],
        type=row["type"],
        aggregate_id=row["stream_id"],
        aggregate_version=row["version"],
        occur_time=row["occur_time"],
        traceparent=meta["traceparent"],
        data=event.SerializeToString(),
    )

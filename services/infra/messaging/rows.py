"""Conversion of messages to and from table rows, with the same seven columns in every table."""

from collections.abc import Sequence

import asyncpg

from services.infra.messaging.message import Message


def columns_of(messages: Sequence[Message]) -> tuple[list[object], ...]:
    """Return one list per column: event_id, type, aggregate_id, aggregate_version, occur_time, traceparent, data."""
    return (
        [message.event_id for message in messages],
        [message.type for message in messages],
        [message.aggregate_id for message in messages],
        [message.aggregate_version for message in messages],
        [message.occur_time for message in messages],
        [message.traceparent for message in messages],
        [message.data for message in messages],
    )


def message_of(row: asyncpg.Record) -> Message:
    """Return the message of a row that has these columns, among others."""
    return Message(
        event_id=row["event_id"],
        type=row["type"],
        aggregate_id=row["aggregate_id"],
        aggregate_version=row["aggregate_version"],
        occur_time=row["occur_time"],
        traceparent=row["traceparent"],
        data=row["data"],
    )

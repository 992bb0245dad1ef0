"""How does a message stand in a table? In seven columns, the same ones wherever it is kept."""

from collections.abc import Sequence

import asyncpg

from services.infra.messaging.message import Message


def columns_of(messages: Sequence[Message]) -> tuple[list[object], ...]:
    """Return the messages as one list a column: event_id, type, aggregate_id and _version, occur_time, and so on."""
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
    """Return the message in a row that has these columns, and maybe others."""
    return Message(
        event_id=row["event_id"],
        type=row["type"],
        aggregate_id=row["aggregate_id"],
        aggregate_version=row["aggregate_version"],
        occur_time=row["occur_time"],
        traceparent=row["traceparent"],
        data=row["data"],
    )

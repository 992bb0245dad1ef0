"""Conversion of plain values to and from protobuf: UUIDs as text, times as Timestamp."""

from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from services.kernel.errors import InvalidField


def uuid_from_text(field: str, text: str) -> UUID:
    """Return the UUID of a text in the form of 36 characters. Raises InvalidField."""
    try:
        value = UUID(text)
    except ValueError:
        value = None
    if value is None or str(value) != text.lower():
        raise InvalidField(
            field, f"INVALID_{field.upper()}", "must be a UUID such as 6f2b54ae-5f0e-4c3a-9d0a-0f5c2d6e7b81"
        )
    return value


def time_to_proto(time: datetime) -> Timestamp:
    """Return the Timestamp of a time."""
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def time_from_proto(stamp: Timestamp) -> datetime:
    """Return the time of a Timestamp, in UTC."""
    return stamp.ToDatetime(tzinfo=UTC)

"""What time is it, and what is a fresh id? Both come in as arguments, so that the domain stays deterministic."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

Clock: TypeAlias = Callable[[], datetime]
NewId: TypeAlias = Callable[[], UUID]


def utc_now() -> datetime:
    """Return the time in UTC, timezone-aware."""
    return datetime.now(UTC)

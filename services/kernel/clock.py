"""Types of the clock and the id generator that callers pass in, so that the domain stays deterministic."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

Clock: TypeAlias = Callable[[], datetime]
NewId: TypeAlias = Callable[[], UUID]


def utc_now() -> datetime:
    """Return the current time in UTC, timezone-aware."""
    return datetime.now(UTC)

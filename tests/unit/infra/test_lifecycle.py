"""Stop of all servers of a process within one grace."""

from dataclasses import dataclass, field

import pytest

from services.infra.lifecycle import stop_all


@dataclass(slots=True)
class Stopping:
    """A server that notes that it was stopped, and raises what it was given."""

    error: Exception | None = None
    was_stopped: bool = field(default=False, init=False)

    async def start(self) -> dict[str, str]:
        """Serve nowhere."""
        return {}

    async def announce_drain(self) -> None:
        """Say nothing."""

    async def stop(self, *, grace_seconds: float) -> None:
        """Note it, and fail."""
        assert grace_seconds >= 0
        self.was_stopped = True
        if self.error:
            raise self.error


async def test_a_stop_that_fails_leaves_no_other_server_running() -> None:
    """The first server is stopped after the others."""
    servers = [Stopping(), Stopping(OSError("one")), Stopping(), Stopping(ValueError("two"))]
    with pytest.raises(ExceptionGroup):
        await stop_all(servers, grace_seconds=1.0)
    assert all(server.was_stopped for server in servers)


async def test_the_errors_of_all_stops_are_raised() -> None:
    errors = [RuntimeError("first"), OSError("one"), ValueError("two")]
    with pytest.raises(ExceptionGroup) as caught:
        await stop_all([Stopping(error) for error in errors], grace_seconds=1.0)
    assert set(caught.value.exceptions) == set(errors)

"""Open connections of one listener, their limits and timeouts.

A full listener closes the connection that has waited longest for a complete request, as nginx does, so that silent
clients keep no others out. It refuses a new connection only when all others have a running request.
"""

from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic
from typing import Protocol

from observability.listener.limits import LimitExceeded, Limits


class Connection(Protocol):
    """One client's connection."""

    address: str

    def refuse(self, refusal: LimitExceeded) -> None:
        """Answer if HTTP allows it, and close."""

    def abort(self) -> None:
        """Close at once, without sending what is buffered."""


class Connections:
    """The connections of one listener; `on_refused` is called with the reason of each refusal."""

    def __init__(
        self, limits: Limits, *, on_refused: Callable[[str], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self.limits = limits
        self.on_refused = on_refused
        self.open_count = 0
        self._clock = clock
        self._per_address: Counter[str] = Counter()
        # Values are start times; both dictionaries begin with the oldest.
        self._without_request: dict[Connection, float] = {}
        self._unread: dict[Connection, float] = {}
        self._reading_body: set[Connection] = set()

    def opened(self, connection: Connection) -> None:
        """Register a connection; when there are too many, close one that has no request, or this one."""
        self.open_count += 1
        self._per_address[connection.address] += 1
        self._without_request[connection] = self._clock()
        if self._per_address[connection.address] > self.limits.connections_per_address:
            self._end_one(connection, connection.address)
        elif self.open_count > self.limits.connections:
            self._end_one(connection, None)

    def head_received(self, connection: Connection) -> None:
        """Record that a head is complete; `bodies` limits the time for the body."""
        self._without_request.pop(connection, None)
        self._without_request[connection] = self._clock()
        self._reading_body.add(connection)

    def request_received(self, connection: Connection) -> None:
        """Record that a request is complete: from now on the connection is not closed in favour of another."""
        self._without_request.pop(connection, None)
        self._reading_body.discard(connection)

    def answered(self, connection: Connection) -> None:
        """Record that the connection waits for its next request."""
        self._without_request.pop(connection, None)
        self._reading_body.discard(connection)
        self._without_request[connection] = self._clock()

    def left_unread(self, connection: Connection) -> None:
        """Record that responses wait for the client to read them, unless that is recorded already."""
        self._unread.setdefault(connection, self._clock())

    def read(self, connection: Connection) -> None:
        """Record that the client reads again."""
        self._unread.pop(connection, None)

    def closed(self, connection: Connection) -> None:
        """Remove a connection."""
        self.open_count -= 1
        self._per_address[connection.address] -= 1
        if not self._per_address[connection.address]:
            del self._per_address[connection.address]
        self.request_received(connection)
        self.read(connection)

    def end_overdue(self) -> None:
        """Close connections whose head is late, and those with unread responses; must be called periodically."""
        now = self._clock()
        late = f"The head of the request did not arrive within {self.limits.head_seconds:g} s."
        for connection in self._older_than(self._without_request, now - self.limits.head_seconds):
            if connection not in self._reading_body:
                self._end(connection, LimitExceeded(HTTPStatus.REQUEST_TIMEOUT, "HEAD_TOO_SLOW", late))
        for connection in self._older_than(self._unread, now - self.limits.unread_seconds):
            self.on_refused("ANSWER_UNREAD")
            connection.abort()

    @staticmethod
    def _older_than(since: dict[Connection, float], moment: float) -> list[Connection]:
        older = []
        for connection, began in since.items():
            if began > moment:
                break
            older.append(connection)
        return older

    def _end_one(self, newcomer: Connection, address: str | None) -> None:
        among = (each for each in self._without_request if address in (None, each.address))
        ended = next(among, newcomer)
        sentence = "There are too many connections; retry later."
        self._end(ended, LimitExceeded(HTTPStatus.SERVICE_UNAVAILABLE, "TOO_MANY_CONNECTIONS", sentence))

    def _end(self, connection: Connection, refusal: LimitExceeded) -> None:
        self.request_received(connection)
        connection.refuse(refusal)

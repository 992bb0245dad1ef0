"""History of a round: each request and its answer, to be checked when everything is quiet."""

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson

from observability.testbed.requests import EdgeName, Listing, RecordedExchange, Request, Response


@dataclass(frozen=True, slots=True)
class Delivered:
    """Units of one SKU that a restocking brought, under its request id."""

    request_id: str
    sku: str
    quantity: int


@dataclass(slots=True)
class History:
    """All attempts of a round's customers, their lists, and all its deliveries; seconds count from its making."""

    exchanges: list[RecordedExchange] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    deliveries: list[Delivered] = field(default_factory=list)
    noise: Counter[str] = field(default_factory=Counter)
    # The reservations that were made for no order.
    noise_ids: set[UUID] = field(default_factory=set)
    # When it began, to compare with the times that the shop stored.
    began_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    _began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Give the time."""
        return time.monotonic() - self._began

    def record(self, request: Request, edge: EdgeName, sent_seconds: float, answer: Response) -> None:
        """Keep one attempt that has just ended."""
        self.exchanges.append(RecordedExchange(request, edge, sent_seconds, self.seconds(), answer))

    def outcomes(self) -> dict[str, int]:
        """Count the attempts by what was asked and what came back."""
        counts = Counter(
            f"{type(exchange.request).__name__.lower()} {exchange.answer.state or exchange.answer.reason}"
            for exchange in self.exchanges
        )
        return dict(sorted((counts + self.noise).items()))

    def requests(self) -> int:
        """Count the wishes, however often each was repeated."""
        return len({exchange.request.request_id for exchange in self.exchanges})

    def write(self, path: Path) -> None:
        """Write every attempt as a line of JSON."""
        lines = [orjson.dumps({"asked": type(each.request).__name__, **asdict(each)}) for each in self.exchanges]
        path.write_bytes(b"\n".join(lines) + b"\n")

"""History of a round: every request and its answer, checked once the platform is quiescent."""

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import orjson

from observability.testbed.requests import ApiName, Listing, RecordedExchange, Request, Response


@dataclass(frozen=True, slots=True)
class Delivered:
    """Units of one SKU in a restock request."""

    request_id: str
    sku: str
    quantity: int


@dataclass(slots=True)
class History:
    """All attempts, list reads and deliveries of a round; seconds count from its creation.

    exchanges: attempts of customers.
    listings: reads of a customer's list.
    deliveries: restocked units.
    noise: outcomes of calls to inventory, by name.
    noise_ids: reservations made without an order.
    began_time: when it began, to compare with times that the shop stored.
    """

    exchanges: list[RecordedExchange] = field(default_factory=list)
    listings: list[Listing] = field(default_factory=list)
    deliveries: list[Delivered] = field(default_factory=list)
    noise: Counter[str] = field(default_factory=Counter)
    noise_ids: set[UUID] = field(default_factory=set)
    began_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    _began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Return the seconds since the round began."""
        return time.monotonic() - self._began

    def record(self, request: Request, api: ApiName, sent_seconds: float, answer: Response) -> None:
        """Record one attempt that has just ended."""
        self.exchanges.append(RecordedExchange(request, api, sent_seconds, self.seconds(), answer))

    def outcomes(self) -> dict[str, int]:
        """Count the attempts by kind of request and outcome."""
        counts = Counter(
            f"{type(exchange.request).__name__.lower()} {exchange.answer.state or exchange.answer.reason}"
            for exchange in self.exchanges
        )
        return dict(sorted((counts + self.noise).items()))

    def requests(self) -> int:
        """Count the requests, without their repeats."""
        return len({exchange.request.request_id for exchange in self.exchanges})

    def write(self, path: Path) -> None:
        """Write every attempt as a line of JSON."""
        lines = [orjson.dumps({"asked": type(each.request).__name__, **asdict(each)}) for each in self.exchanges]
        path.write_bytes(b"\n".join(lines) + b"\n")

"""What does a run need to know besides its plan?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from observability.load.baskets import BasketReport


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Where a run goes and how: `target` and `admin_address` are host:port, `cpu` is the core it is pinned to.

    `run_nonce` sets this run's idempotency keys apart from those of every other run with the same seed.
    `maximum_connections` bounds the open connections: a run that has more requests in flight is invalid. With
    `respond_async` each order says that it may be kept and answered before it is settled.
    """

    target: str
    seed: int
    run_nonce: str
    rate_per_second: float | None = None
    duration_seconds: float | None = None
    concurrency: int | None = None
    admin_address: str | None = None
    service_pids: Mapping[str, int] = field(default_factory=dict)
    cpu: int | None = None
    request_timeout_seconds: float = 10.0
    maximum_connections: int = 4096
    respond_async: bool = False
    basket_report: BasketReport | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    scheduled: int
    sent: int
    done: int
    elapsed_seconds: float


LoopName = Literal["open", "closed"]

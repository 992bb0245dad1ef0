"""Options and progress of a load run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from observability.load.baskets import BasketReport


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Target of a run, and how the load is sent.

    target: the edge, host:port.
    seed: fixes the plan and the idempotency keys.
    run_nonce: part of the idempotency keys; keeps them apart from those of other runs with the same seed.
    rate_per_second: orders due a second; None in a closed loop.
    duration_seconds: length of the run; None without a limit.
    concurrency: customers of a closed loop; None in an open loop.
    admin_address: the edge's metrics server, host:port; None if unknown.
    service_pids: the services' processes by name, whose run-queue wait is recorded.
    cpu: the core that the generator is pinned to; None without pinning.
    request_timeout_seconds: bound of each request.
    maximum_connections: bound of open connections; a run with more requests in flight is invalid.
    respond_async: send `Prefer: respond-async`, so that an order may be answered while it is still pending.
    basket_report: what was read from a file of baskets; None with the fitted model.
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
    """Counts of a run so far: orders planned, sent and answered."""

    scheduled: int
    sent: int
    done: int
    elapsed_seconds: float


LoopName = Literal["open", "closed"]

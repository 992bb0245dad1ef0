"""Capacity of a platform: orders sold a second under the closed-loop load of a few customers."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from observability.load.generator import GeneratorTask
from observability.load.generator_process import Load, run_load
from observability.load.options import LoadOptions, Progress
from observability.load.outcomes import OutcomeKind
from observability.load.result import SHARE_OF_CAPACITY, rounded_down

# Enough to saturate the busiest process, and few enough that a slow machine still answers each within the edge's 2 s.
CUSTOMERS = 4
# The first orders meet cold caches and closed connections.
WARM_UP_SECONDS = 2.0
COUNTED_SECONDS = 5.0
WHOLE_SECONDS = WARM_UP_SECONDS + COUNTED_SECONDS
# More orders than any machine sells in this time; a longer plan would take longer than the measurement.
MOST_ORDERS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Target and orders of the closed loop.

    target: the edge, host:port.
    seed: fixes the orders.
    service_pids: the services' processes by name.
    cpu: the generator's core; None without pinning.
    lines: bounds of the lines an order; None for the fitted model.
    sku_prefix: first characters of all SKUs.
    customers: of the closed loop.
    """

    target: str
    seed: int
    service_pids: Mapping[str, int]
    cpu: int | None
    lines: tuple[int, int] | None = None
    sku_prefix: str = ""
    customers: int = CUSTOMERS


@dataclass(frozen=True, slots=True)
class Capacity:
    """Result of a closed loop.

    sold_per_second: orders confirmed a second, after the warm-up.
    orders: all orders sent.
    """

    sold_per_second: float
    orders: int

    @property
    def rate_per_second(self) -> float:
        """The rate at which the platform rejects no order: half of its capacity, rounded down."""
        return rounded_down(SHARE_OF_CAPACITY * self.sold_per_second)


async def measure_capacity(probe: Probe, *, folder: Path) -> tuple[Capacity, Load]:
    """Run the closed loop for 7 s, of which the first 2 s are warm-up; its files go to `folder`. Raises LoadError."""
    options = LoadOptions(
        target=probe.target,
        seed=probe.seed,
        run_nonce=secrets.token_hex(4),
        duration_seconds=WHOLE_SECONDS,
        concurrency=probe.customers,
        service_pids=probe.service_pids,
        cpu=probe.cpu,
    )
    task = GeneratorTask(
        options=options,
        rate_per_second=0.0,
        duration_seconds=WHOLE_SECONDS,
        result_path=folder / "capacity.json",
        lines=probe.lines,
        requests=MOST_ORDERS,
        sku_prefix=probe.sku_prefix,
    )
    load = await run_load(task, log_path=folder / "capacity.log", on_progress=_silent)
    return capacity_of(load), load


def capacity_of(load: Load) -> Capacity:
    """Return the rate of orders sold after the warm-up, until the last answer."""
    until = min(WHOLE_SECONDS, max((each.done_seconds for each in load.requests), default=0.0))
    sold = sum(
        each.outcome is OutcomeKind.CONFIRMED and WARM_UP_SECONDS < each.done_seconds <= until for each in load.requests
    )
    seconds = until - WARM_UP_SECONDS
    return Capacity(sold / seconds if seconds > 0 else 0.0, len(load.requests))


def _silent(_progress: Progress) -> None:
    """Report no progress, since the measurement takes a few seconds."""

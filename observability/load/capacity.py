"""Capacity of a platform: how many orders a second it sells when each of a few customers waits for the answer."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from observability.load.figures import SHARE_OF_CAPACITY, rounded_down
from observability.load.generator import GeneratorTask
from observability.load.generator_process import Load, run_load
from observability.load.options import LoadOptions, Progress
from observability.load.outcomes import OutcomeKind

# Enough to keep the busiest process busy, and so few that a slow machine still answers each within the edge's 2 s.
CUSTOMERS = 4
# The first orders find cold caches and connections that are not open yet.
WARM_UP_SECONDS = 2.0
COUNTED_SECONDS = 5.0
WHOLE_SECONDS = WARM_UP_SECONDS + COUNTED_SECONDS
# More than any machine sells meanwhile would make the plan take longer than the measurement.
MOST_ORDERS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Where the closed loop goes and what is ordered: the fitted model, or so many `lines` an order.

    `target` is the edge as host:port; `cpu` is the generator's core. The SKUs begin with `sku_prefix`.
    """

    target: str
    seed: int
    service_pids: Mapping[str, int]
    cpu: int | None
    lines: tuple[int, int] | None = None
    sku_prefix: str = ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a closed loop showed.

    `sold_per_second`: orders confirmed a second, after the warm-up; `orders`: all that were sent.
    """

    sold_per_second: float
    orders: int

    @property
    def rate_per_second(self) -> float:
        """The rate at which the platform turns no order away: half of what it sells, rounded down."""
        return rounded_down(SHARE_OF_CAPACITY * self.sold_per_second)


async def measure_capacity(probe: Probe, *, folder: Path) -> tuple[Capacity, Load]:
    """Run the closed loop for 7 s, the first 2 of which do not count; its files go to `folder`. Raises LoadError."""
    options = LoadOptions(
        target=probe.target,
        seed=probe.seed,
        run_nonce=secrets.token_hex(4),
        duration_seconds=WHOLE_SECONDS,
        concurrency=CUSTOMERS,
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
    """Count the orders sold after the warm-up, until the last customer stopped or the plan ended."""
    until = min(WHOLE_SECONDS, max((each.done_seconds for each in load.requests), default=0.0))
    sold = sum(
        each.outcome is OutcomeKind.CONFIRMED and WARM_UP_SECONDS < each.done_seconds <= until for each in load.requests
    )
    seconds = until - WARM_UP_SECONDS
    return Capacity(sold / seconds if seconds > 0 else 0.0, len(load.requests))


def _silent(_progress: Progress) -> None:
    """Report nothing: it takes a few seconds."""
